"""Background tasks with a name, an owner and an end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


async def repeated(look: Callable[[], None], pause: Callable[[], Awaitable[None]], name: str) -> None:
    """`look` after each `pause`, for ever: one that fails is logged, and does not keep the others from being."""
    while True:
        await pause()
        try:
            look()
        except Exception as error:
            log.error("look failed", action=f"{name}.look_failed", exc_info=error)


class TaskOwner:
    """Owns the tasks of one object: an error in one is logged, never lost; closing ends them all.

    At most `bound` tasks live at a time; more is a fault of the owner.
    """

    def __init__(self, name: str, bound: int = 100_000) -> None:
        self._name = name
        self._bound = bound
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        if len(self._tasks) >= self._bound:
            work.close()
            raise RuntimeError(f"{self._name} owns {self._bound} tasks already")
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", action=f"{self._name}.task_failed", task=task.get_name(), exc_info=error)

    async def wait_idle(self, timeout_s: float) -> bool:
        """Wait until every task has ended by itself; False if the time ran out."""
        if not self._tasks:
            return True
        _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
        return not late

    async def aclose(self, *, grace_s: float = 5.0) -> None:
        """Wait `grace_s` for the tasks, then cancel them and wait for their end."""
        if grace_s > 0:
            await self.wait_idle(grace_s)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=5.0)
