"""What `--web` and `--web-secure` make of an action's annotations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from upwhisk.cli import texts
from upwhisk.cli.failure import Failure, invalid
from upwhisk.cli.parameters import KeyValues, lookup, without

EXPORT: Final = "web-export"
SECRET: Final = "require-whisk-auth"  # noqa: S105 - the name of an annotation
_KEYS: Final = (EXPORT, "raw-http", "final")
_MODES: Final = {
    "true": (True, False, True),
    "yes": (True, False, True),
    "raw": (True, True, True),
    "false": (False, False, False),
    "no": (False, False, False),
}


def web_annotations(given: KeyValues, old: Iterable[dict[str, Any]] | None, web: str | None, secure: str | None) -> KeyValues:
    """`given`: from `-a` and `-A`; `old`: of the action as it is, None if there is none yet.

    With either flag the whole old list is sent again, merged with the new entries; without them only the new ones.
    """
    if web is None and secure is None:
        return given
    merged = [*without(old or (), *(entry["key"] for entry in given)), *given]
    if web is not None:
        merged = _exported(merged, web)
    return merged if secure is None else _secured(merged, secure)


def _exported(annotations: KeyValues, web: str) -> KeyValues:
    values = _MODES.get(web.lower())
    if values is None:
        raise invalid(texts.bad_web(web))
    return [*without(annotations, *_KEYS), *({"key": k, "value": v} for k, v in zip(_KEYS, values, strict=True))]


def _secured(annotations: KeyValues, secure: str) -> KeyValues:
    if lookup(annotations, EXPORT) is not True:
        raise Failure(texts.WEB_SECURE, 2, usage=True, hint="add --web true")
    if secure.lower() == "false":
        return without(annotations, SECRET)
    present = lookup(annotations, SECRET)
    secret: Any = secure
    if secure.lower() == "true":
        import secrets

        kept = isinstance(present, int) and not isinstance(present, bool)
        secret = present if kept else secrets.randbelow(2**53)
    return [*without(annotations, SECRET), {"key": SECRET, "value": secret}]


def removed_secret(annotations: KeyValues, old: Iterable[dict[str, Any]] | None, secure: str | None) -> tuple[str, ...]:
    """What the platform has to delete: leaving an annotation out does not always do that."""
    gone = secure is not None and lookup(annotations, SECRET) is None and lookup(list(old or ()), SECRET) is not None
    return (SECRET,) if gone else ()
