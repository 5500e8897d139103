"""Takes dead containers out of the engine, behind everybody's back: an engine under load needs seconds for one."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import structlog

from upwhisk.common.errors import ContainerError
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.containers.docker.engine import Engine

log = structlog.get_logger(__name__)

AT_ONCE = 4
MOST = 512
_FIRST_S, _LONGEST_S = 0.2, 10.0
UNCERTAIN_S = 30.0
"""So long an engine that answers again may still carry out what it was asked before."""


class Removals:
    """Each removal is tried until the engine has done it, with growing pauses; what is left when the platform ends is
    an orphan, which the next start removes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tasks = TaskOwner("docker.removals", bound=4 * MOST)
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._late: set[str] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def full(self) -> bool:
        """No more containers may be made before some are gone."""
        return len(self._tasks) >= MOST

    def findings(self) -> tuple[str, ...]:
        count = len(self._late)
        return (f"the container engine has not removed {count} dead containers yet",) if count else ()

    def add(self, name: str, then: Callable[[], None] = lambda: None, *, certain: bool = True) -> None:
        """`then` is called when it is gone. Not `certain`: the engine may still be making it, so that "there is no
        such container" is believed after `UNCERTAIN_S` only."""
        self._tasks.start(self._remove(name, then, 0.0 if certain else UNCERTAIN_S), f"remove-{name}")

    async def _remove(self, name: str, then: Callable[[], None], doubt_s: float) -> None:
        pause_s, since = _FIRST_S, float("inf")
        while True:
            try:
                async with self._at_once:
                    await self._engine.remove(name)
            except ContainerError as error:
                if name not in self._late:
                    log.warning("container not removed yet", action="docker.remove_late", name=name, reason=str(error))
                self._late.add(name)
            else:
                since = min(since, time.monotonic())
            if time.monotonic() - since >= doubt_s:
                break
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - spreads retries, keeps no secret
            pause_s = min(pause_s * 2, _LONGEST_S)
        self._late.discard(name)
        then()

    async def wait_idle(self, timeout_s: float) -> bool:
        return await self._tasks.wait_idle(timeout_s)

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
