"""The field `exec` of an action. ◆ pure."""

from __future__ import annotations

import re
import string
from typing import Final

import msgspec

from upwhisk.common.errors import BadRequest, TooLarge
from upwhisk.common.model.action import BLACKBOX, SEQUENCE, Exec
from upwhisk.common.names import parse_reference
from upwhisk.controller.entities.fields import UNSET, Field, is_given, value_of
from upwhisk.controller.json_body import malformed_content
from upwhisk.controller.kinds import KindsPort

_BASE64: Final = (string.ascii_letters + string.digits + "+/").encode()
_IMAGE: Final = re.compile(
    r"\A(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d+)?/)?"  # registry
    r"[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"  # path
    r"(?::[\w][\w.-]{0,127})?(?:@[a-z0-9]+:[0-9a-f]{32,})?\Z",  # tag, digest
    re.ASCII | re.IGNORECASE,
)
_MAX_IMAGE: Final = 512
_SHOWN: Final = 64
"""How much of a name that cannot be is said again."""
_COMPONENTS_BYTES: Final = 256 * 1024


class ExecBody(msgspec.Struct):
    kind: Field = UNSET
    code: Field = UNSET
    main: Field = UNSET
    image: Field = UNSET
    components: Field = UNSET


def parse_exec(field: Field, own_namespace: str, kinds: KindsPort, code_bytes: int) -> Exec | None:
    """None if the field is absent or null. `BadRequest`, `TooLarge`."""
    if not is_given(field):
        return None
    try:
        body = msgspec.json.decode(field, type=ExecBody)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed_content(str(error)) from None
    kind = _text(body.kind)
    if not kind:
        raise BadRequest("'kind' must be a string defined in 'exec'")
    kind = kind.strip().lower()
    if kind == SEQUENCE:
        return Exec(SEQUENCE, components=_components(body.components, own_namespace))
    if kind == BLACKBOX:
        return _blackbox(body, kinds, code_bytes)
    return _managed(kind, body, kinds, code_bytes)


def _managed(kind: str, body: ExecBody, kinds: KindsPort, code_bytes: int) -> Exec:
    concrete = kinds.resolve(kind)
    if concrete is None:
        valid = ", ".join(f"'{k}'" for k in kinds.valid())
        raise BadRequest(
            f"The specified runtime '{kind[:_SHOWN]}' is not supported by this platform. Valid values are: {valid}."
        )
    check_kind_usable(concrete, kinds)
    code = _text(body.code)
    if code is None:
        raise BadRequest(
            f"'code' must be a string or attachment object defined in 'exec' for '{concrete}' actions"
        )
    main = _main(body, concrete, required=kinds.require_main(concrete))
    return Exec(concrete, code=_sized(code, code_bytes), binary=is_base64(code), main=main)


def _blackbox(body: ExecBody, kinds: KindsPort, code_bytes: int) -> Exec:
    image = _text(body.image)
    if image is None:
        raise BadRequest("'image' must be a string defined in 'exec' for 'blackbox' actions")
    if len(image) > _MAX_IMAGE or _IMAGE.match(image) is None:
        raise malformed_content(f"could not parse image name '{image[:_MAX_IMAGE]}'")
    refusal = kinds.refuse_image(image)
    if refusal is not None:
        raise BadRequest(refusal)
    code = _text(body.code)
    if code is None and is_given(body.code):
        raise BadRequest(
            "'code' must be a string or attachment object defined in 'exec' for 'blackbox' actions"
        )
    main = _main(body, BLACKBOX, required=False)
    # An empty text means no code, as for `wsk --docker` without a file.
    kept = _sized(code, code_bytes) if code else None
    return Exec(BLACKBOX, code=kept, binary=is_base64(code or ""), main=main, image=image)


def check_kind_usable(kind: str, kinds: KindsPort) -> None:
    """`BadRequest` for kinds that may be read and deleted only, or whose interpreter no node has."""
    if kinds.deprecated(kind):
        raise BadRequest(no_longer_supported(kind))
    missing = kinds.missing(kind)
    if missing is not None:
        raise BadRequest(missing)


def no_longer_supported(kind: str) -> str:
    return (
        f"The '{kind}' runtime is no longer supported. "
        "You may read and delete but not update or invoke this action."
    )


def is_base64(code: str) -> bool:
    """Strict base64: its alphabet, padding only at the end."""
    if not code or len(code) % 4 or not code.isascii():
        return False
    left = code.encode().translate(None, _BASE64)
    return left in (b"", b"=", b"==") and code.endswith(left.decode())


def _components(field: Field, own_namespace: str) -> tuple[str, ...]:
    value = value_of(field, "components", _COMPONENTS_BYTES)
    if value is UNSET:
        raise BadRequest("'components' must be defined for sequence kind")
    if not isinstance(value, list):
        raise BadRequest("'components' must be an array")
    if not all(isinstance(item, str) for item in value):
        raise malformed_content("'components' must be an array of names")
    return tuple(str(parse_reference(item, own_namespace)) for item in value)


def _main(body: ExecBody, kind: str, *, required: bool) -> str | None:
    main = _text(body.main)
    if main is None and (required or is_given(body.main)):
        raise BadRequest(f"'main' must be a string defined in 'exec' for '{kind}' actions")
    return main


def _text(field: Field) -> str | None:
    """The field if it is a text, else None."""
    if isinstance(field, msgspec.UnsetType):
        return None
    try:
        return msgspec.json.decode(field, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _sized(code: str, limit: int) -> str:
    size = len(code) if code.isascii() else len(code.encode())
    if size > limit:
        raise TooLarge(f"exec larger than allowed: {size} > {limit} bytes.")
    return code
