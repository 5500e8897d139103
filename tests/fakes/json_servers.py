"""What databases make of a JSON text before they give it back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any


def as_couchdb(text: bytes) -> bytes:
    """Integers of any size stay, `1e3` becomes `1000.0`, blanks go, the last of equal keys stays, order stays."""
    return json.dumps(json.loads(text), ensure_ascii=False).encode()


def as_javascript(text: bytes) -> bytes:
    """All numbers are doubles, `1.0` becomes `1`, keys that look like numbers come first, `__proto__` is swallowed."""
    value = json.loads(text, parse_int=_number, parse_float=_number, object_pairs_hook=_object)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


SERVERS: dict[str, Callable[[bytes], bytes]] = {"couchdb": as_couchdb, "javascript": as_javascript}


def _number(text: str) -> float | int:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 1e21 else value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {key: value for key, value in pairs if key != "__proto__"}
    numbers = sorted((key for key in found if key.isdecimal() and key.isascii()), key=int)
    return {key: found[key] for key in [*numbers, *(key for key in found if key not in numbers)]}
