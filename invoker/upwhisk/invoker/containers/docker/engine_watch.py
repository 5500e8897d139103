"""Whether the engine answers, also while nobody needs it."""

from __future__ import annotations

import asyncio

from upwhisk.common.errors import ContainerError
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.containers.docker.engine import Engine

_INTERVAL_S = 2.0


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
            self.problem = await self._look()

    async def _look(self) -> str | None:
        try:
            await self._engine.ping()
        except ContainerError as error:
            return str(error)
        return None

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
