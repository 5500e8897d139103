"""Which packages a requirements.txt names that this guest does not have."""

from __future__ import annotations

import importlib.metadata
import re

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\]\s*)?(?:[<>=!~@#(]|$)")
_MAX_LINES = 1000


def missing(file: str) -> list[str]:
    """Names in `file` without a distribution on `sys.path`, in order. Options and markers are not evaluated."""
    with open(file, encoding="utf-8", errors="replace") as source:
        lines = source.read().splitlines()[:_MAX_LINES]
    names = [found.group(1) for line in lines if ";" not in line and (found := _NAME.match(line)) is not None]
    if not names:
        return []
    there = {_plain(dist.metadata["Name"] or "") for dist in importlib.metadata.distributions()}
    return [name for name in names if _plain(name) not in there]


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
