"""How deep a JSON text nests, found without anything recursive. Pure."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

_SLICE: Final = 64 * 1024
_ESCAPE: Final = re.compile(rb"\\.", re.DOTALL)
_NOT_BRACKETS: Final = bytes(b for b in range(256) if b not in b"[]{}")
_STEP: Final = bytes(1 if b in b"[{" else 255 for b in range(256))


def nests_deeper(body: bytes, max_depth: int) -> bool:
    # As long as there are no more opening brackets than levels, it cannot be too deep: true for nearly every body.
    return body.count(b"{") + body.count(b"[") > max_depth and nesting_exceeds(body, max_depth)


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
