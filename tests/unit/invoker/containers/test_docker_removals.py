"""Removing dead containers, with an engine that does not always answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from upwhisk.invoker.containers.docker import removals
from upwhisk.invoker.containers.docker.endpoint import Endpoint
from upwhisk.invoker.containers.docker.engine import Engine, EngineAway, EngineRefused
from upwhisk.invoker.containers.docker.removals import Removals


class MoodyEngine(Engine):
    """Fails the next `failures` calls; holds calls while `open` is not set."""

    def __init__(self) -> None:
        super().__init__(Endpoint("unix:///nobody"), 1.0)
        self.failures: list[Exception] = []
        self.calls: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.at_once = self.most_at_once = 0

    async def remove(self, id: str) -> None:
        self.calls.append(id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
            if self.failures:
                raise self.failures.pop(0)
        finally:
            self.at_once -= 1


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "_FIRST_S", 0.001)
    monkeypatch.setattr(removals, "_LONGEST_S", 0.002)


@pytest.fixture
async def engine() -> MoodyEngine:
    return MoodyEngine()


@pytest.fixture
async def removing(engine: MoodyEngine) -> AsyncIterator[Removals]:
    removing = Removals(engine)
    yield removing
    await removing.aclose()
    assert len(removing) == 0


async def test_it_is_tried_until_it_is_done_and_seen_meanwhile(
    engine: MoodyEngine, removing: Removals
) -> None:
    engine.failures = [EngineAway("down"), EngineRefused(409, "in progress"), EngineRefused(500, "busy")]
    done: list[str] = []
    removing.add("a", lambda: done.append("a"))
    while len(engine.calls) < 2:
        await asyncio.sleep(0)
    assert done == []
    assert "1 dead" in removing.findings()[0]
    assert await removing.wait_idle(5)
    assert done == ["a"]
    assert engine.calls == ["a"] * 4
    assert removing.findings() == ()


async def test_what_the_engine_may_still_be_making_is_asked_for_again(
    engine: MoodyEngine, removing: Removals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "UNCERTAIN_S", 0.02)
    removing.add("certain")
    removing.add("uncertain", certain=False)
    assert await removing.wait_idle(5)
    assert engine.calls.count("certain") == 1
    assert engine.calls.count("uncertain") > 2


async def test_few_are_removed_at_once(engine: MoodyEngine, removing: Removals) -> None:
    engine.open.clear()
    for number in range(20):
        removing.add(str(number))
    while engine.at_once < removals.AT_ONCE:
        await asyncio.sleep(0)
    assert not await removing.wait_idle(0.01)
    engine.open.set()
    assert await removing.wait_idle(5)
    assert engine.most_at_once == removals.AT_ONCE
    assert len(engine.calls) == 20


async def test_a_backlog_stops_new_containers(
    engine: MoodyEngine, removing: Removals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removals, "MOST", 3)
    engine.open.clear()
    for number in range(3):
        assert not removing.full
        removing.add(str(number))
    assert removing.full
    engine.open.set()
    assert await removing.wait_idle(5)
    assert not removing.full
