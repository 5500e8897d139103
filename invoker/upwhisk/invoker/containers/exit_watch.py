"""Knows at once when a process is gone, by its pidfd."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable


class ExitWatch:
    """Owns `pidfd`; -1: the process is gone already. `start` is called once, on the event loop."""

    def __init__(self, pidfd: int) -> None:
        self._pidfd = pidfd
        self._exited = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        if pidfd < 0:
            self._exited.set()

    def start(self) -> None:
        if self._pidfd >= 0:
            asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    def _ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        self._exited.set()
        listeners, self._listeners = self._listeners, []
        for notify in listeners:
            notify()

    @property
    def seen(self) -> bool:
        return self._exited.is_set()

    def tell(self, notify: Callable[[], None]) -> None:
        """Call `notify` once at the end; now, if that is past."""
        if self._exited.is_set():
            notify()
        else:
            self._listeners.append(notify)

    async def wait(self, timeout_s: float) -> bool:
        """False if it still lives then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._exited.wait()
        return self._exited.is_set()

    def kill(self) -> bool:
        """False if this user may not."""
        if self._pidfd < 0:
            return True
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return True

    def close(self) -> None:
        """Idempotent. Whoever still waits is told of an end."""
        if self._pidfd < 0:
            return
        if not self._exited.is_set():
            self._ended()
        os.close(self._pidfd)
        self._pidfd = -1
