"""Bytes of a request -> JSON, with everything bounded. ◆ pure.

What is accepted is strict JSON (RFC 8259) in UTF-8: no NaN, no byte-order mark, no lone surrogates, no trailing
text. Integers have at most 4,300 digits, others have to fit into a double. Of equal keys the last wins.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from upwhisk.common.errors import BadRequest
from upwhisk.common.nesting import nests_deeper

T = TypeVar("T")
NOT_AN_OBJECT: Final = "JSON object expected"
HALF_A_PAIR: Final = "a text holds half of a surrogate pair (\\ud800 to \\udfff without the other half)"
_ESCAPES: Final = re.compile(rb"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]..|u[dD]([89a-fA-F])|.)", re.DOTALL)
"""Escapes of a JSON text, one match each; whole pairs are one, and half of a pair has group 1."""
_decode_any: Final = msgspec.json.Decoder().decode


def malformed_content(detail: str) -> BadRequest:
    return BadRequest(f"The request content was malformed:\n{detail}")


def decode_json(body: bytes, max_depth: int) -> Any:
    """`BadRequest` names what is wrong."""
    check_depth(body, max_depth)
    try:
        value = _decode_any(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(body, error) from None
    except RecursionError:
        raise _too_deep(max_depth) from None
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
        if not body.isascii():
            str(body, "utf-8")  # what is skipped is not looked at otherwise
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        raise malformed_content(
            NOT_AN_OBJECT if text.startswith("Expected `object`, got") else text
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _malformed(body, error) from None
    except RecursionError:
        raise _too_deep(max_depth) from None


def _malformed(body: bytes, error: Exception) -> BadRequest:
    """The decoder's words, but for one case: it takes half of a surrogate pair for the end of the data."""
    half = isinstance(error, msgspec.DecodeError) and any(found[1] for found in _ESCAPES.finditer(body))
    return malformed_content(HALF_A_PAIR if half else str(error))


def check_depth(body: bytes, max_depth: int) -> None:
    """Nesting deeper than `max_depth` is refused before anything recursive sees it."""
    if nests_deeper(body, max_depth):
        raise _too_deep(max_depth)


def _too_deep(max_depth: int) -> BadRequest:
    return malformed_content(f"JSON is nested deeper than {max_depth} levels")
