"""Cuts processes off: packets that members of a control group send are dropped. Only in a network namespace of one's own."""

from __future__ import annotations

import subprocess
from pathlib import Path

_CANDIDATES = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))


def _tree() -> Path:
    return next(base for base in _CANDIDATES if (base / "cgroup.procs").exists() and (base / "cgroup.controllers").exists())


class Cable:
    """What one process sends can be dropped. Children that it makes after `plug` are cut off with it."""

    def __init__(self, name: str) -> None:
        self._path = f"uwchaos-{name}"
        self._folder = _tree() / self._path

    def plug(self, pid: int) -> None:
        self._folder.mkdir(exist_ok=True)
        (self._folder / "cgroup.procs").write_text(str(pid))

    def cut(self) -> None:
        self._rule("-A")

    def mend(self) -> None:
        self._rule("-D")

    def remove(self) -> None:
        """The group goes with its last process; one that is not empty yet is left to the next run."""
        try:
            self._folder.rmdir()
        except OSError:
            return

    def _rule(self, what: str) -> None:
        rule = ["OUTPUT", "-m", "cgroup", "--path", self._path, "-j", "DROP"]
        subprocess.run(["iptables", "-w", "10", what, *rule], check=True, capture_output=True, timeout=20)
