"""What all services have in common: own ports, own folder, readiness by protocol, and ways to disturb them."""

from __future__ import annotations

import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from services.child import Child
from services.errors import Unavailable
from services.ports import free_ports
from services.waiting import until

READY_S = 60.0
_PAUSE_S = 5.0
_STARTS = 3
_TAKEN = ("address already in use", "eaddrinuse")
_LONGEST = 40
"""Of a temporary folder's name: paths of Unix sockets end at 107 bytes."""


class Service(ABC):
    """An own instance for tests. Every method waits until it has happened; call them from any thread, one at a time.

    - `start` waits until the service answers; `Unavailable`, with the end of the log, after 60 s.
    - `stop` ends it and removes its data. `kill` is `kill -9`, `pause` is SIGSTOP.
    - `restart` works after `kill` too; ports and data stay.
    """

    name: ClassVar[str]
    port_count: ClassVar[int] = 1

    def __init__(self) -> None:
        self.ports: list[int] = []
        self._folder: Path | None = None
        self._child: Child | None = None

    @abstractmethod
    def _configure(self, folder: Path) -> None:
        """Write into `folder` what the command reads; called again with other ports if one was taken."""

    @abstractmethod
    def _command(self, folder: Path) -> list[str]:
        """The process that serves."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether a request in its own protocol was answered as it should. Raises nothing."""

    def _environment(self) -> Mapping[str, str]:
        return {}

    def _before_launch(self, folder: Path) -> None:  # noqa: B027 - most have nothing to do
        """Remove what a killed process left in the way."""

    def _before_stop(self) -> None:  # noqa: B027 - most have nothing to do
        """Take away what would outlive the process."""

    @property
    def folder(self) -> Path:
        if self._folder is None:
            raise Unavailable(f"{self.name} is not started")
        return self._folder

    @property
    def pid(self) -> int:
        return self._own_child().pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.running

    @property
    def log(self) -> str:
        """The end of what it printed."""
        return self._own_child().tail()

    def start(self) -> Self:
        self._folder = _short_folder(self.name)
        try:
            for attempt in range(_STARTS):
                self.ports = free_ports(self.port_count)
                self._configure(self._folder)
                if self._launch(last=attempt == _STARTS - 1):
                    return self
        except BaseException:
            self.stop()
            raise
        raise AssertionError("the last attempt raises")

    def stop(self) -> None:
        try:
            if self._child is not None:
                if self._child.running:
                    self.resume()
                    self._before_stop()
                self._child.stop()
        finally:
            self._child = None
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def terminate(self, within_s: float = 10.0) -> None:
        """End it in good order, its data kept."""
        self._own_child().stop(within_s)

    def kill(self) -> None:
        self._own_child().kill()

    def restart(self) -> None:
        """Stop it in good order if it runs, and start it again."""
        self.terminate()
        self._launch(last=True)

    def pause(self) -> None:
        """It keeps its connections and answers nothing, once this returns."""
        self._own_child().signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.pid}/task")
        until(lambda: all(_is_stopped(task) for task in tasks.iterdir()), _PAUSE_S)

    def resume(self) -> None:
        self._own_child().signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _own_child(self) -> Child:
        if self._child is None:
            raise Unavailable(f"{self.name} is not started")
        return self._child

    def _launch(self, *, last: bool) -> bool:
        """False: a port was taken meanwhile, and there is another try."""
        folder = self.folder
        self._before_launch(folder)
        log = folder / f"{self.name}.log"
        child = Child(self._command(folder), log, self._environment(), folder)
        self._child = child
        child.start()
        if until(lambda: not child.running or self._ready(), READY_S) and child.running:
            return True
        tail = child.tail()
        if not last and not child.running and any(text in tail.lower() for text in _TAKEN):
            return False
        why = f"is not ready after {READY_S:.0f} s" if child.running else f"ended with status {child.status}"
        raise Unavailable(f"{self.name} {why}; the end of its log:\n{tail}")


def _is_stopped(task: Path) -> bool:
    try:
        return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return True  # it has ended


def _short_folder(name: str) -> Path:
    base = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix=f"uw-{name[:6]}-", dir=base if len(base) <= _LONGEST else "/tmp"))
