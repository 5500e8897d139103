"""One child process: started, asked, stopped; it never outlives this process."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from services.commands import have
from services.errors import Unavailable

_STOP_S = 10.0
_TAIL = 3000
_STARTER = ThreadPoolExecutor(1, "service-starter")
"""The kernel's parent-death signal is sent when the *thread* that started a child ends, so one that stays starts all."""


class Child:
    """`log` is appended to. The process is killed when this one dies, however it dies."""

    def __init__(self, argv: list[str], log: Path, environment: Mapping[str, str], cwd: Path) -> None:
        self._argv = [have("setpriv"), "--pdeathsig", "KILL", "--", *argv]
        self._log = log
        self._environment = dict(environment)
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise Unavailable("not started")
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        self._process = _STARTER.submit(self._start).result()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._argv,
                cwd=self._cwd,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)  # does nothing once it was waited for

    def stop(self, within_s: float = _STOP_S) -> None:
        """SIGTERM, then SIGKILL after 10 s; a paused one is woken for it."""
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_S)

    def tail(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-_TAIL:] if self._log.exists() else "(no log)"
