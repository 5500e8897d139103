"""Processes of this host, as /proc tells them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def naming(path: Path) -> list[str]:
    """Command lines of the processes that have `path` in theirs; those that ended are not listed."""
    return [line for _, line in _naming(path)]


def end_naming(path: Path) -> None:
    """Kill the processes that have `path` in their command line."""
    for pid, _ in _naming(path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _naming(path: Path) -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue  # it ended meanwhile
        if str(path).encode() in line:
            yield int(entry.name), line.replace(b"\0", b" ").decode(errors="replace")
