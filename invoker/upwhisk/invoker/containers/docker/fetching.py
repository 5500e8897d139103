"""Fetching images: a namespace's registry that hangs, or is slow, holds up no other namespace's images."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import structlog

from upwhisk.common.errors import ContainerError
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.containers.docker.engine import QUICK_S, Engine, EngineAway, EngineRefused

log = structlog.get_logger(__name__)

OF_A_NAMESPACE = 2
"""So many images are fetched for one namespace at a time; its others wait in line."""
_AT_ONCE = 64
_TO_SAY_WHY_S = QUICK_S + 1.0
"""The engine is asked once more before a fetch has failed."""

Image = dict[str, Any]


class Turns:
    """Who may fetch: `of_one` at a time for each namespace, `at_once` for all together. Turns are in order of asking."""

    def __init__(self, of_one: int = OF_A_NAMESPACE, at_once: int = _AT_ONCE) -> None:
        self._of_one = of_one
        self._all = asyncio.Semaphore(at_once)
        self._lines: dict[str, asyncio.Semaphore] = {}
        self._used: Counter[str] = Counter()

    async def take(self, namespace: str) -> None:
        """`give` it back."""
        line = self._lines.setdefault(namespace, asyncio.Semaphore(self._of_one))
        self._used[namespace] += 1
        try:
            await line.acquire()
        except BaseException:
            self._forget(namespace)
            raise
        try:
            await self._all.acquire()
        except BaseException:
            line.release()
            self._forget(namespace)
            raise

    def give(self, namespace: str) -> None:
        self._all.release()
        self._lines[namespace].release()
        self._forget(namespace)

    def _forget(self, namespace: str) -> None:
        self._used[namespace] -= 1
        if not self._used[namespace]:
            del self._used[namespace], self._lines[namespace]

    def __len__(self) -> int:
        """Namespaces that fetch or wait."""
        return len(self._lines)


class Fetches:
    """`fetch_s`: how long one may take, and how long anybody waits for one, the line included. An image is fetched once
    at a time, whoever waits for it."""

    def __init__(self, engine: Engine, fetch_s: float) -> None:
        self._engine = engine
        self._fetch_s = fetch_s
        self._turns = Turns()
        self._under_way: dict[str, asyncio.Task[Image | ContainerError | None]] = {}
        self._tasks = TaskOwner("docker.fetches", bound=_AT_ONCE)

    async def fetch(self, name: str, namespace: str) -> Image | None:
        """None if the engine does not have it afterwards. `EngineRefused` says why it could not be had, or that the time was
        up; `EngineAway` if it is the engine that does not answer."""
        try:
            async with asyncio.timeout(self._fetch_s + _TO_SAY_WHY_S):
                if name not in self._under_way:
                    await self._turns.take(namespace)
                    self._begin(name, namespace)
                found = await asyncio.shield(self._under_way[name])
        except TimeoutError:
            raise EngineRefused(0, f"it was not there within {self._fetch_s:g} s, the wait for its turn included") from None
        if isinstance(found, ContainerError):
            raise found
        return found

    def _begin(self, name: str, namespace: str) -> None:
        """The turn is the fetch's from here on: it ends with it, not with who waits."""
        if name in self._under_way:  # another namespace's turn came first
            self._turns.give(namespace)
            return

        def end(_: object) -> None:
            del self._under_way[name]
            self._turns.give(namespace)

        task = self._under_way[name] = self._tasks.start(self._pull(name), f"fetch-{name}")
        task.add_done_callback(end)

    async def _pull(self, name: str) -> Image | ContainerError | None:
        try:
            image = await self._engine.image(name)
            if image is not None:  # another namespace had it fetched while this one was in line
                return image
            log.info("fetching an image", action="docker.pull", image=name)
            try:
                await self._engine.pull(name, self._fetch_s)
            except EngineAway as error:
                if await self._engine.image(name) is None:  # the engine is there: it is the registry that is not
                    return EngineRefused(0, str(error))
            return await self._engine.image(name)
        except ContainerError as error:
            return error

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
