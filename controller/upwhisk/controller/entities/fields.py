"""The fields that PUT bodies of all entities share. ◆ pure.

Bodies are decoded into `msgspec.Raw` pieces first: unknown fields are never built, and what is too large is refused
before it is decoded.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeGuard

import msgspec

from upwhisk.common.errors import BadRequest, TooLarge
from upwhisk.common.model.parameters import Parameter, Parameters, last_wins, merge_annotations
from upwhisk.controller.json_body import malformed_content

Field = msgspec.Raw | msgspec.UnsetType
UNSET: Final = msgspec.UNSET

_VERSION: Final = re.compile(r"\A(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?\Z", re.ASCII)
_decode: Final = msgspec.json.Decoder().decode
_size_of: Final = msgspec.json.Encoder().encode
SMALL_BYTES: Final = 64 * 1024
"""Of JSON, for a field that holds a few words or numbers."""
_RAW_FACTOR: Final = 8
"""JSON as sent may be this much larger than as counted (`\\u0041` is one character)."""


class CommonBody(msgspec.Struct):
    """Every entity's body. Names and namespaces in it are ignored: the URL counts."""

    parameters: Field = UNSET
    annotations: Field = UNSET
    version: Field = UNSET
    publish: Field = UNSET


def is_given(field: Field) -> TypeGuard[msgspec.Raw]:
    """Whether it is there and not null."""
    return not isinstance(field, msgspec.UnsetType) and bytes(memoryview(field)[:4]) != b"null"


def value_of(field: Field, name: str, limit: int = SMALL_BYTES) -> Any:
    """The decoded field; `UNSET` if it is absent or null. `BadRequest` if it cannot be decoded, or takes more than `limit`
    bytes: to build some millions of small values would hold everybody up. `name` is for the error texts."""
    if isinstance(field, msgspec.UnsetType):
        return UNSET
    size = len(memoryview(field))
    if size > limit:
        raise malformed_content(f"'{name}' takes {size} bytes, more than the {limit} it may")
    try:
        value = _decode(field)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed_content(str(error)) from None
    return UNSET if value is None else value


def parameters(field: Field, name: str, limit: int) -> Parameters | None:
    """A list of key and value, the last of equal keys wins; None if it is absent. `name` is for the error texts."""
    if isinstance(field, msgspec.UnsetType):
        return None
    raw_size = len(memoryview(field))
    if raw_size > limit * _RAW_FACTOR:
        raise TooLarge(f"{name} larger than allowed: {raw_size} > {limit} bytes.")
    value = value_of(field, name, raw_size)
    if value is UNSET:
        return None
    if not isinstance(value, list):
        raise BadRequest(f"{name} malformed!")
    read = last_wins(_parameter(item, name) for item in value)
    size = sum(len(p.key.encode()) + len(_size_of(p.value)) for p in read)
    if size > limit:
        raise TooLarge(f"{name} larger than allowed: {size} > {limit} bytes.")
    return read


def _parameter(item: Any, name: str) -> Parameter:
    if not isinstance(item, dict) or "value" not in item:
        raise BadRequest(f"{name} malformed!")
    key, init = item.get("key"), item.get("init", False)
    if not isinstance(key, str) or not key.strip() or not isinstance(init, bool):
        raise BadRequest(f"{name} malformed!")
    return Parameter(key, item["value"], init)


def merged_annotations(
    old: Parameters, removed: tuple[str, ...], new: Parameters | None, limit: int
) -> Parameters:
    """The stored annotations with a body's changes; the sum has to fit too."""
    merged = merge_annotations(old, removed, new or ())
    size = sum(len(p.key.encode()) + len(_size_of(p.value)) for p in merged)
    if size > limit:
        raise TooLarge(f"annotations larger than allowed: {size} > {limit} bytes.")
    return merged


def texts(field: Field, name: str, limit: int) -> tuple[str, ...]:
    value = value_of(field, name, limit)
    if value is UNSET:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise malformed_content(f"'{name}' must be an array of strings")
    return tuple(value)


def publish(field: Field, stored: bool) -> bool:
    value = value_of(field, "publish")
    if value is UNSET:
        return stored
    if not isinstance(value, bool):
        raise malformed_content("'publish' must be a boolean")
    return value


def version(field: Field, stored: str | None) -> str:
    """The body's version; else the first one, or the stored one with its patch part raised."""
    value = value_of(field, "version")
    if value is not UNSET:
        return _parse_version(value)
    if stored is None:
        return "0.0.1"
    major, minor, patch = stored.split(".")
    return f"{major}.{minor}.{int(patch) + 1}"


def _parse_version(value: Any) -> str:
    match = _VERSION.match(value) if isinstance(value, str) else None
    if match is None:
        raise malformed_content("the version must be three numbers separated by dots, as in '0.0.1'")
    parts = tuple(int(part or 0) for part in match.groups())
    if parts == (0, 0, 0):
        raise malformed_content("bad semantic version 0.0.0")
    return f"{parts[0]}.{parts[1]}.{parts[2]}"
