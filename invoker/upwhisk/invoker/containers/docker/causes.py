"""What is at the bottom of a client library's error. Pure."""

from __future__ import annotations

import os


def cause_of(error: BaseException) -> str:
    """The operating system's word if there is one, else the error's own."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return os.strerror(seen.errno) if seen.errno else seen.strerror
        seen = seen.__cause__ or seen.__context__
    return str(error) or type(error).__name__
