"""The trace of a request: the caller's, or a new one. Source: W3C Trace Context, section 3.2."""

from __future__ import annotations

import re
from typing import Final

from upwhisk.common.ids import new_traceparent

_FORM: Final = re.compile(r"([0-9a-f]{2})(-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})(-.*)?", re.ASCII)
_NOBODY: Final = ("-" + "0" * 32 + "-", "-" + "0" * 16 + "-")


def traceparent_of(sent: str | None) -> str:
    """`sent` as the header `traceparent` of version 00; a new trace if there is none or it is not in that form: it travels to
    nodes and into guests and records, so nothing else may be in it."""
    found = _FORM.fullmatch(sent) if sent is not None else None
    if found is None:
        return new_traceparent()
    version, fields, more = found.groups()
    if version == "ff" or (version == "00" and more is not None) or any(zeros in fields for zeros in _NOBODY):
        return new_traceparent()
    return f"00{fields}"
