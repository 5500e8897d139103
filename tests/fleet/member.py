"""One process of a fleet under test: started until it says so, stopped, killed, paused."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from services.child import Child
from services.errors import Unavailable
from services.waiting import until

READY_S = 60.0
DRAIN_S = 45.0
_READY = " is ready"
_METRICS = "  metrics: "


class Member:
    """`arguments`: of the command `upwhisk`. Its output goes to a log file, appended over restarts."""

    def __init__(self, name: str, arguments: list[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._arguments = arguments
        self.environment = environment
        self.folder = folder / name
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.log_file = self.folder / "log"
        self._child: Child | None = None
        self.ready_line = ""
        self.program = ["-m", "upwhisk.cli"]
        """What the interpreter runs at the next launch: another release has another program."""

    @property
    def pid(self) -> int:
        return self._own().pid

    @property
    def metrics_url(self) -> str:
        """Where a node that is ready serves its metrics."""
        if not until(lambda: bool(self._line_with(_METRICS)), READY_S):
            raise Unavailable(f"{self.name} does not say where its metrics are")
        return self._line_with(_METRICS).removeprefix(_METRICS.strip()).removesuffix("/metrics").strip()

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    def launch(self) -> None:
        """Start it and do not wait."""
        self._before = self.log_file.stat().st_size if self.log_file.exists() else 0
        command = [sys.executable, *self.program, *self._arguments]
        self._child = Child(command, self.log_file, self.environment, self.folder)
        self._child.start()

    def wait_ready(self) -> None:
        child = self._own()
        if not until(lambda: not child.running or bool(self._find_ready()), READY_S) or not self.ready_line:
            raise Unavailable(f"{self.name} is not ready; the end of its log:\n{self.log_file.read_text()[-3000:]}")

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def stop(self) -> None:
        if self._child is not None:
            self._child.stop(DRAIN_S)
            self._child = None

    def kill(self) -> None:
        self._own().kill()

    def pause(self) -> None:
        self._own().signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._own().signal(signal.SIGCONT)

    def restart(self) -> None:
        """In good order."""
        self.stop()
        self.start()

    def _find_ready(self) -> str:
        self.ready_line = self._line_with(_READY)
        return self.ready_line

    def _line_with(self, text: str) -> str:
        """The first since the last launch; empty if there is none."""
        with self.log_file.open(errors="replace") as stream:
            stream.seek(self._before)
            return next((line.strip() for line in stream if text in line and line.endswith("\n")), "")

    def _own(self) -> Child:
        if self._child is None:
            raise Unavailable(f"{self.name} is not started")
        return self._child
