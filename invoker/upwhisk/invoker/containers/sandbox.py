"""One guest as the platform sees it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from upwhisk.common.errors import ContainerError, ContainerGone
from upwhisk.common.spi.containers import (
    Container,
    ContainerSpec,
    ContainerStats,
    GuestAnswer,
    LogChunk,
    Stream,
)
from upwhisk.invoker.containers.cgroups import Cgroup
from upwhisk.invoker.containers.exit_watch import ExitWatch
from upwhisk.invoker.containers.freezing import stand_still
from upwhisk.invoker.containers.proxy_client import Connect, PeerClosed, ProxyClient
from upwhisk.invoker.containers.readiness import PipeLogs
from upwhisk.invoker.containers.relay import ApiRelay

_EXIT_S = 3.0
_REMOVE_S = 1.0

Streams = tuple[tuple[Stream, int], ...]
"""Each with the reading end of its pipe."""


@dataclass(frozen=True, slots=True)
class Belongings:
    """What a container holds and gives back. `release` gets back what the factory lent (its slot, its network)."""

    cgroup: Cgroup
    pidfd: int
    socket_path: Path
    streams: Streams
    relay: ApiRelay | None
    release: Callable[[], None]


class ProcessContainer(Container):
    """A process tree in namespaces and a cgroup of its own."""

    def __init__(
        self, id: str, spec: ContainerSpec, belongings: Belongings, forget: Callable[[str], None]
    ) -> None:
        self.id = id
        self.spec = spec
        self._own = belongings
        self._forget = forget
        self._client = ProxyClient(_connect_to(belongings.socket_path))
        self._logs = PipeLogs(belongings.streams)
        self._exit = ExitWatch(belongings.pidfd)
        self._frozen = False
        self._oom_killed = False
        self._destruction: asyncio.Task[None] | None = None

    def watch_exit(self) -> None:
        """The factory calls this once, on the event loop."""
        self._exit.start()

    async def post(
        self, path: str, body: bytes, *, timeout_s: float, max_answer: int, single_use: bool = False
    ) -> GuestAnswer:
        try:
            return await self._client.post(
                path, body, timeout_s=timeout_s, max_answer=max_answer, single_use=single_use
            )
        except PeerClosed:
            raise ContainerGone(oom=await self.oom_killed()) from None

    def read_logs(self) -> Sequence[LogChunk]:
        return self._logs.read()

    def watch_logs(self, notify: Callable[[], None] | None) -> None:
        self._logs.watch(notify)

    def on_exit(self, notify: Callable[[], None]) -> None:
        self._exit.tell(notify)

    @property
    def alive(self) -> bool:
        return not self._exit.seen and self._destruction is None

    async def oom_killed(self) -> bool:
        if not self._oom_killed:
            with contextlib.suppress(OSError):
                self._oom_killed = self._own.cgroup.oom_kills() > 0
        return self._oom_killed

    async def freeze(self) -> None:
        if self._frozen:
            return
        self._frozen = True
        try:
            stands = await stand_still(self._own.cgroup)
        except OSError:
            raise ContainerGone from None
        if not stands:
            await self.thaw()
            raise ContainerError(f"container {self.id} did not stand still in time")

    async def thaw(self) -> None:
        if self._frozen:
            self._frozen = False
            try:
                self._own.cgroup.thaw()
            except OSError:
                raise ContainerGone from None

    async def resize(self, memory_mb: int) -> None:
        try:
            self._own.cgroup.resize(memory_mb)
        except OSError as error:
            raise ContainerError(f"container {self.id} cannot have {memory_mb} MB: {error}") from None

    async def stats(self) -> ContainerStats:
        try:
            return self._own.cgroup.stats()
        except OSError:
            raise ContainerGone from None

    async def destroy(self) -> None:
        if self._destruction is None:
            self._destruction = asyncio.get_running_loop().create_task(
                self._destroy(), name=f"destroy-{self.id}"
            )
        await asyncio.shield(self._destruction)

    async def _destroy(self) -> None:
        """Kill, wait for the end, and give everything back, whatever fails on the way."""
        await self.oom_killed()
        self.kill()
        await self._exit.wait(_EXIT_S)
        self.let_go()
        deadline, delay = time.monotonic() + _REMOVE_S, 0.0005
        while not self._own.cgroup.remove() and time.monotonic() < deadline:
            await asyncio.sleep(delay)
            delay = min(delay * 2, 0.05)
        self._own.release()

    def kill(self) -> None:
        """Its first process takes all others of its PID namespace along, daemons too."""
        self._exit.kill()
        with contextlib.suppress(OSError):
            if self._frozen:
                self._own.cgroup.kill()
        self._frozen = False

    def let_go(self) -> None:
        """Close every descriptor; the guest is dead."""
        self._client.close()
        if self._own.relay is not None:
            self._own.relay.close()
        self._exit.close()
        self._logs.close()
        with contextlib.suppress(OSError):
            self._own.socket_path.unlink()
        self._forget(self.id)


def _connect_to(path: Path) -> Connect:
    text = str(path)
    return lambda protocol: asyncio.get_running_loop().create_unix_connection(protocol, text)
