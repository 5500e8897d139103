"""Bytes of a request -> JSON, with everything bounded. ◆ pure.

What is accepted is strict JSON (RFC 8259) in UTF-8: no NaN, no byte-order mark, no lone surrogates, no trailing
text. Numbers have to fit: integers into 64 bits, others into a double. Of equal keys the last wins.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any, Final, TypeVar

import msgspec

from upwhisk.common.errors import BadRequest

T = TypeVar("T")
NOT_AN_OBJECT: Final = "JSON object expected"
_SLICE: Final = 64 * 1024
_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_NOT_BRACKETS: Final = bytes(b for b in range(256) if b not in b"[]{}")
_STEP: Final = bytes(1 if b in b"[{" else 255 for b in range(256))
_LONG_NUMBER: Final = re.compile(rb"\d{19}")
_decode_any: Final = msgspec.json.Decoder().decode


def malformed_content(detail: str) -> BadRequest:
    return BadRequest(f"The request content was malformed:\n{detail}")


def decode_json(body: bytes, max_depth: int) -> Any:
    """`BadRequest` names what is wrong."""
    check_depth(body, max_depth)
    try:
        value = _decode_any(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed_content(str(error)) from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    if _LONG_NUMBER.search(body):
        check_integers(value)
    return value


def decode_object(body: bytes, max_depth: int) -> dict[str, Any]:
    value = decode_json(body, max_depth)
    if type(value) is not dict:
        raise malformed_content(NOT_AN_OBJECT)
    return value


def decode_as(body: bytes, kind: type[T], max_depth: int) -> T:
    """Decode into a `msgspec` structure: what it does not name is skipped without being built."""
    check_depth(body, max_depth)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        raise malformed_content(
            NOT_AN_OBJECT if text.startswith("Expected `object`, got") else text
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed_content(str(error)) from None
    except RecursionError:
        raise _too_deep(max_depth) from None


def check_depth(body: bytes, max_depth: int) -> None:
    """Nesting deeper than `max_depth` is refused before anything recursive sees it."""
    # As long as there are no more opening brackets than levels, it cannot be too deep: true for nearly every body.
    if body.count(b"{") + body.count(b"[") > max_depth and nesting_exceeds(body, max_depth):
        raise _too_deep(max_depth)


def nesting_exceeds(body: bytes, max_depth: int) -> bool:
    """Brackets outside of strings, counted slice by slice in constant memory."""
    depth, in_string, carry = 0, False, b""
    for start in range(0, len(body), _SLICE):
        part = _ESCAPE.sub(b"", carry + body[start : start + _SLICE])
        carry = part[-1:] if part.endswith(b"\\") else b""
        pieces = part.split(b'"')
        outside = b"".join(pieces[1 if in_string else 0 :: 2]).translate(None, _NOT_BRACKETS)
        in_string ^= len(pieces) % 2 == 0
        if not outside:
            continue
        steps = memoryview(outside.translate(_STEP)).cast("b")
        levels = list(accumulate(steps, initial=depth))
        if max(levels) > max_depth:
            return True
        depth = levels[-1]
    return False


def check_integers(value: Any) -> None:
    """Integers beyond 64 bits exist in no store and in no other runtime: refused where they come in."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, int) and not -(2**63) <= item < 2**64:
            raise malformed_content("Number out of range")


def _too_deep(max_depth: int) -> BadRequest:
    return malformed_content(f"JSON is nested deeper than {max_depth} levels")
