"""Names of topics in Kafka's alphabet. Pure.

Kafka allows letters, digits, `.`, `-` and `_`, 249 of them. `_` is our mark of escape: it is followed by the two hexadecimal
digits of one byte of UTF-8, so every name has one form and can be read back.
"""

from __future__ import annotations

import re

LONGEST = 249
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-")
_PREFIX = re.compile(r"\A[A-Za-z0-9._-]{0,100}\Z")
_ESCAPED = re.compile(r"_([0-9a-f]{2})")


def is_prefix(text: str) -> bool:
    return _PREFIX.match(text) is not None and text not in {".", ".."}


def escaped(name: str) -> str:
    if _PLAIN.issuperset(name):
        return name
    return "".join(c if c in _PLAIN else "".join(f"_{byte:02x}" for byte in c.encode()) for c in name)


def plain(escaped_name: str) -> str | None:
    """The name that `escaped` made this of; None for what it never makes."""
    raw = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), escaped_name)
    try:
        name = raw.encode("latin-1").decode()
    except UnicodeError:
        return None
    return name if escaped(name) == escaped_name else None
