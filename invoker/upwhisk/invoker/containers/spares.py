"""Guests that are born ahead: one of each kind and network waits, whole, for whoever needs the next such.

A birth is some milliseconds of forking, confining and limiting, and nothing of it depends on who the guest will work for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from upwhisk.common.errors import ContainerError
from upwhisk.common.spi.containers import ContainerSpec, Network
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.containers.sandbox import ProcessContainer

log = structlog.get_logger(__name__)

QUIET_S = 0.05
"""So long after the last order the next spare is born: not beside the guest that was ordered."""

Bear = Callable[[ContainerSpec], Awaitable[ProcessContainer]]
_Like = tuple[str, Network, tuple[tuple[str, str], ...]]
"""What cannot be changed once a guest is born. The kinds and networks of a node are few; no action chooses the environment."""


class Spares:
    """`bear` makes a guest and knows of it: whoever closes the factory ends spares like all others."""

    def __init__(self, bear: Bear) -> None:
        self._bear = bear
        self._waiting: dict[_Like, ProcessContainer] = {}
        self._wanted: dict[_Like, ContainerSpec] = {}
        self._births = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks = TaskOwner("spares")

    async def take(self, spec: ContainerSpec) -> ProcessContainer | None:
        """The one that waits, with this memory; None if there is none that is alive."""
        spare = self._waiting.get(_like(spec))
        if spare is None or not spare.alive:
            return None
        del self._waiting[_like(spec)]
        try:
            if spare.spec.memory_mb != spec.memory_mb:
                await spare.resize(spec.memory_mb)
        except ContainerError as error:
            log.info("spare not used", action="spares.unfit", kind=spec.kind, reason=str(error))
            await spare.destroy()
            return None
        spare.spec = spec
        return spare

    def want(self, spec: ContainerSpec) -> None:
        """One like this is to wait, as soon as nobody has ordered any other for a moment."""
        self._wanted[_like(spec)] = spec
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET_S, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._tasks.start(self._fill(), "births")

    async def _fill(self) -> None:
        async with self._births:
            while self._wanted:
                _, spec = self._wanted.popitem()
                await self._replace(spec)

    async def _replace(self, spec: ContainerSpec) -> None:
        like = _like(spec)
        there = self._waiting.get(like)
        if there is not None and there.alive:
            return
        if there is not None:
            del self._waiting[like]
            await there.destroy()
        try:
            self._waiting[like] = await self._bear(spec)
        except ContainerError as error:  # whoever needs one is told
            log.info("no spare", action="spares.unborn", kind=spec.kind, reason=str(error))

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.aclose(grace_s=0.0)
        self._waiting.clear()


def _like(spec: ContainerSpec) -> _Like:
    return spec.kind, spec.network, spec.environment
