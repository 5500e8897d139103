"""Whether the engine answers, also while nobody needs it."""

from __future__ import annotations

import asyncio

from upwhisk.common.errors import ContainerError
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.containers.docker.engine import QUICK_S, Engine

_INTERVAL_S = 2.0
_AT_ONCE_S = 2.0


class EngineWatch:
    """`problem` is None while it answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tasks = TaskOwner("docker.watch", bound=1)
        self.problem: str | None = None

    def start(self) -> None:
        self._tasks.start(self._go_on(), "docker-watch")

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_S)
            await self._look(QUICK_S)

    async def look_at_once(self) -> None:
        """For who has just failed: whether it was for want of an engine."""
        if self.problem is None:
            await self._look(_AT_ONCE_S)

    async def _look(self, deadline_s: float) -> None:
        try:
            await self._engine.ping(deadline_s)
        except ContainerError as error:
            self.problem = str(error)
        else:
            self.problem = None

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
