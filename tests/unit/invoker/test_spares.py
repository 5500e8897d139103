"""Guests born ahead: who gets them, and what becomes of those that nobody can use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from fakes.until import until

from upwhisk.common.errors import ContainerCreateFailed, ContainerError
from upwhisk.common.spi.containers import ContainerSpec, Network
from upwhisk.invoker.containers.spares import Spares

SPEC = ContainerSpec("python:3.11", 256)


class Guest:
    def __init__(self, spec: ContainerSpec) -> None:
        self.spec = spec
        self.alive = True
        self.resizes = True

    async def resize(self, memory_mb: int) -> None:
        if not self.resizes:
            raise ContainerError("no room")

    async def destroy(self) -> None:
        self.alive = False


class Births:
    def __init__(self) -> None:
        self.born: list[Guest] = []
        self.fails = False
        self.allowed = asyncio.Event()
        self.allowed.set()
        self.begun = 0

    async def bear(self, spec: ContainerSpec) -> Guest:
        self.begun += 1
        await self.allowed.wait()
        if self.fails:
            raise ContainerCreateFailed("no cgroup")
        self.born.append(Guest(spec))
        return self.born[-1]


@pytest.fixture
def births() -> Births:
    return Births()


@pytest.fixture
async def spares(births: Births, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Spares]:
    monkeypatch.setattr("upwhisk.invoker.containers.spares.QUIET_S", 0.001)
    made = Spares(births.bear)  # type: ignore[arg-type]
    yield made
    await made.aclose()


async def test_one_is_born_for_many_orders_and_goes_to_one(spares: Spares, births: Births) -> None:
    assert await spares.take(SPEC) is None
    for _ in range(5):
        spares.want(SPEC)
    await until(lambda: len(births.born) == 1)
    taken = [await spares.take(SPEC), await spares.take(SPEC)]
    assert taken == [births.born[0], None]  # type: ignore[comparison-overlap]


async def test_each_kind_has_its_own(spares: Spares, births: Births) -> None:
    other = ContainerSpec("blackbox", 256)
    spares.want(SPEC)
    spares.want(other)
    await until(lambda: len(births.born) == 2)
    assert (await spares.take(other)).spec == other  # type: ignore[union-attr]
    assert (await spares.take(SPEC)).spec == SPEC  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "other",
    [ContainerSpec("python:3.11", 256, Network.API), ContainerSpec("python:3.11", 256, environment=(("A", "b"),))],
)
async def test_so_has_each_network(spares: Spares, births: Births, other: ContainerSpec) -> None:
    """What cannot be changed once a guest is born; those who want it otherwise do not take each other's away."""
    spares.want(SPEC)
    await until(lambda: len(births.born) == 1)
    assert await spares.take(other) is None
    spares.want(other)
    await until(lambda: len(births.born) == 2)
    assert births.born[0].alive
    taken = [await spares.take(other), await spares.take(SPEC)]
    assert taken == births.born[::-1]  # type: ignore[comparison-overlap]


async def test_it_gets_the_memory_that_was_asked_for_or_is_not_used(spares: Spares, births: Births) -> None:
    spares.want(SPEC)
    await until(lambda: len(births.born) == 1)
    larger = ContainerSpec(SPEC.kind, 512)
    births.born[0].resizes = False
    assert await spares.take(larger) is None
    assert not births.born[0].alive
    spares.want(SPEC)
    await until(lambda: len(births.born) == 2)
    assert (await spares.take(larger)).spec == larger  # type: ignore[union-attr]


async def test_a_dead_one_is_replaced(spares: Spares, births: Births) -> None:
    spares.want(SPEC)
    await until(lambda: len(births.born) == 1)
    births.born[0].alive = False
    assert await spares.take(SPEC) is None
    spares.want(SPEC)
    await until(lambda: len(births.born) == 2)
    assert await spares.take(SPEC) is births.born[1]  # type: ignore[comparison-overlap]


async def test_a_birth_that_fails_is_tried_again_with_the_next_order(spares: Spares, births: Births) -> None:
    births.fails = True
    spares.want(SPEC)
    await until(lambda: births.begun == 1)
    assert await spares.take(SPEC) is None
    births.fails = False
    spares.want(SPEC)
    await until(lambda: len(births.born) == 1)


async def test_closing_ends_a_birth(spares: Spares, births: Births) -> None:
    births.allowed.clear()
    spares.want(SPEC)
    await until(lambda: births.begun == 1)
    await spares.aclose()
    births.allowed.set()
    await asyncio.sleep(0)
    assert births.born == []
