"""Containers whose every step waits until a test lets it end, well or badly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from upwhisk.common.errors import ContainerError, ImageUnfetched
from upwhisk.common.spi.containers import (
    Container,
    ContainerFactory,
    ContainerSpec,
    ContainerStats,
    FactoryAbilities,
    GuestAnswer,
    LogChunk,
    Network,
)


class Steps:
    """What is under way: `end` lets one step go on, with an error or without."""

    def __init__(self) -> None:
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    async def wait(self, name: str) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((name, future))
        await future

    def names(self) -> list[str]:
        """In the order they began; steps that were given up are gone."""
        self._waiting = [(name, future) for name, future in self._waiting if not future.done()]
        return [name for name, _ in self._waiting]

    def end(self, index: int = 0, error: BaseException | None = None) -> str:
        self.names()
        name, future = self._waiting.pop(index)
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
        return name


class HeldContainer(Container):
    """Tells of its death when a test calls `die`. `held`: its freezing, thawing and resizing wait as well."""

    def __init__(self, id: str, spec: ContainerSpec, steps: Steps, *, held: bool) -> None:
        self.id = id
        self.spec = spec
        self._steps = steps
        self._held = held
        self._listeners: list[Callable[[], None]] = []
        self.dead = False
        self.destroyed = False

    def die(self) -> None:
        self.dead = True
        listeners, self._listeners = self._listeners, []
        for notify in listeners:
            notify()

    async def post(
        self, path: str, body: bytes, *, timeout_s: float, max_answer: int, single_use: bool = False
    ) -> GuestAnswer:
        raise NotImplementedError("nobody runs here")

    def read_logs(self) -> Sequence[LogChunk]:
        return []

    def watch_logs(self, notify: Callable[[], None] | None) -> None:
        return None

    def on_exit(self, notify: Callable[[], None]) -> None:
        if self.dead:
            notify()
        else:
            self._listeners.append(notify)

    @property
    def alive(self) -> bool:
        return not self.dead and not self.destroyed

    async def oom_killed(self) -> bool:
        return False

    async def freeze(self) -> None:
        await self._step("freeze")

    async def thaw(self) -> None:
        await self._step("thaw")

    async def resize(self, memory_mb: int) -> None:
        await self._step("resize")

    async def _step(self, name: str) -> None:
        if self._held:
            await self._steps.wait(f"{name} {self.id}")

    async def stats(self) -> ContainerStats:
        return ContainerStats(0, 0, 0)

    async def destroy(self) -> None:
        self.destroyed = True
        self.die()


class HeldFactory(ContainerFactory):
    """`made` lists every container. Creation is the step `create N`; an image is fetched in the step `prepare IMAGE`, once.
    `born`: what the next creation gives, if not a container as usual."""

    abilities = FactoryAbilities(True, True, False, frozenset(Network), frozenset({"python:3.11"}))

    def __init__(self, *, held: bool = True) -> None:
        self.steps = Steps()
        self.made: list[HeldContainer] = []
        self.born: HeldContainer | None = None
        self.fetched: set[str] = set()
        self._asked = 0
        self._held = held

    async def start(self) -> None:
        return None

    async def aclose(self) -> None:
        return None

    async def prepare(self, spec: ContainerSpec, namespace: str) -> None:
        if spec.image is not None and spec.image not in self.fetched:
            await self.steps.wait(f"prepare {spec.image}")
            self.fetched.add(spec.image)

    async def create(self, spec: ContainerSpec) -> Container:
        if spec.image is not None and spec.image not in self.fetched:
            raise ImageUnfetched(spec.image)
        self._asked += 1
        number = self._asked
        await self.steps.wait(f"create {number}")
        container = self.born or HeldContainer(str(number), spec, self.steps, held=self._held)
        self.born = None
        self.made.append(container)
        return container

    async def remove_orphans(self) -> int:
        return 0

    def findings(self) -> tuple[str, ...]:
        return ()


__all__ = ["ContainerError", "HeldContainer", "HeldFactory", "Steps"]
