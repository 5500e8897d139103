"""One container of an engine as the platform sees it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from upwhisk.common.errors import ContainerError, ContainerGone
from upwhisk.common.spi.containers import (
    Container,
    ContainerSpec,
    ContainerStats,
    GuestAnswer,
    LogChunk,
)
from upwhisk.invoker.containers.docker.attached_logs import AttachedLogs
from upwhisk.invoker.containers.docker.birth import Birthplace
from upwhisk.invoker.containers.docker.controls import Controls
from upwhisk.invoker.containers.docker.engine import Engine
from upwhisk.invoker.containers.docker.guest_network import GuestNetwork
from upwhisk.invoker.containers.exit_watch import ExitWatch
from upwhisk.invoker.containers.proxy_client import Connect, PeerClosed, ProxyClient
from upwhisk.invoker.containers.readiness import PipeLogs
from upwhisk.invoker.containers.relay import ApiRelay

_EXIT_S = 4.0


@dataclass(frozen=True, slots=True)
class Belongings:
    """What a container holds. `birthplace` is that of our own images, `network` and `relay` of those that need them.
    `remove` has the engine take away what is left, in its own time."""

    exit: ExitWatch
    controls: Controls
    logs: PipeLogs | AttachedLogs
    birthplace: Birthplace | None
    network: GuestNetwork | None
    relay: ApiRelay | None
    remove: Callable[[], None]


class DockerContainer(Container):
    """Its guest, its sockets and its exit are ours: only creating and removing it needs the engine to be there."""

    def __init__(self, id: str, spec: ContainerSpec, own: Belongings, connect: Connect, engine: Engine) -> None:
        self.id = id
        self.spec = spec
        self._own = own
        self._engine = engine
        self._client = ProxyClient(connect)
        self._frozen = False
        self._oom_killed = False
        self._destruction: asyncio.Task[None] | None = None
        self._destroyed: Callable[[DockerContainer], None] = lambda _: None
        own.exit.tell(self._ended)

    def _ended(self) -> None:
        """At once, while its cgroup is still there: the engine takes that away within milliseconds."""
        self._oom_killed = self._oom_killed or bool(self._own.controls.oom_seen())
        if self._own.birthplace is not None:
            self._own.birthplace.give_up()

    async def wait_born(self, timeout_s: float) -> bool:
        """Whether its proxy has been handed its socket by then."""
        if self._own.birthplace is None:
            return True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._own.birthplace.settled.wait()
        return self._own.birthplace.born

    def on_destroyed(self, notify: Callable[[DockerContainer], None]) -> None:
        """For its factory."""
        self._destroyed = notify

    async def post(
        self, path: str, body: bytes, *, timeout_s: float, max_answer: int, single_use: bool = False
    ) -> GuestAnswer:
        try:
            answer = await self._client.post(
                path, body, timeout_s=timeout_s, max_answer=max_answer, single_use=single_use
            )
        except PeerClosed:
            raise ContainerGone(oom=await self.oom_killed()) from None
        if isinstance(self._own.logs, AttachedLogs):
            await self._own.logs.settle()
        return answer

    def read_logs(self) -> Sequence[LogChunk]:
        """Of images that actions name: what the engine has passed on by now, see `AttachedLogs`."""
        return self._own.logs.read()

    def watch_logs(self, notify: Callable[[], None] | None) -> None:
        self._own.logs.watch(notify)

    def on_exit(self, notify: Callable[[], None]) -> None:
        self._own.exit.tell(notify)

    @property
    def alive(self) -> bool:
        return not self._own.exit.seen and self._destruction is None

    async def oom_killed(self) -> bool:
        if not self._oom_killed:
            seen = self._own.controls.oom_seen()
            if seen is None and self._destruction is None:
                seen = await self._own.controls.oom_told()
            self._oom_killed = bool(seen)
        return self._oom_killed

    async def freeze(self) -> None:
        if self._frozen:
            return
        self._frozen = True
        try:
            await self._own.controls.freeze()
        except ContainerGone:
            raise
        except ContainerError:
            await self.thaw()
            raise

    async def thaw(self) -> None:
        if self._frozen:
            self._frozen = False
            await self._own.controls.thaw()

    async def resize(self, memory_mb: int) -> None:
        await self._own.controls.resize(memory_mb)

    async def stats(self) -> ContainerStats:
        if self._destruction is not None:
            raise ContainerGone
        return await self._own.controls.stats()

    async def destroy(self) -> None:
        if self._destruction is None:
            seen = self._own.controls.oom_seen()
            self._oom_killed = self._oom_killed or bool(seen)
            self._destruction = asyncio.get_running_loop().create_task(
                self._destroy(), name=f"destroy-{self.id}"
            )
        await asyncio.shield(self._destruction)

    async def _destroy(self) -> None:
        """Returns when its processes are dead, or cannot be killed without the engine, which goes on trying."""
        try:
            if not self.kill():
                with contextlib.suppress(ContainerError):
                    await self._engine.kill(self.id)
            await self._own.exit.wait(_EXIT_S)
        finally:
            await self.let_go()
            self._destroyed(self)
            self._own.remove()

    def kill(self) -> bool:
        """False if only the engine may. Its first process takes all others of its PID namespace along."""
        killed = self._own.exit.kill()
        if self._frozen:
            killed = self._own.controls.kill() and killed
        return killed

    async def let_go(self) -> None:
        own = self._own
        self._client.close()
        if own.relay is not None:
            own.relay.close()
        own.exit.close()
        if isinstance(own.logs, AttachedLogs):
            await own.logs.close()
        else:
            own.logs.close()
        if own.network is not None:
            own.network.close()
        if own.birthplace is not None:
            own.birthplace.close()
