"""Processes of this host, as /proc tells them."""

from __future__ import annotations

from pathlib import Path


def naming(path: Path) -> list[str]:
    """Command lines of the processes that have `path` in theirs; those that ended are not listed."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except OSError:
            continue  # it ended meanwhile
        if str(path).encode() in line:
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found
