"""Fetching the images that actions name: whose registry hangs waits alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import pytest
import structlog
from fakes.virtual_time import LoopClock, VirtualTimeLoop

from upwhisk.common.errors import ContainerCreateFailed, ImageMissing, ImageUnfetched
from upwhisk.invoker.containers.docker.engine import Engine, EngineAway, EngineRefused
from upwhisk.invoker.containers.docker.fetching import Turns
from upwhisk.invoker.containers.docker.named_images import NamedImages

PULL_S = 120.0


class Registries:
    """An engine whose pulls wait until a test lets them go on; they end with its deadline. `here`: the images it has."""

    def __init__(self) -> None:
        self.here: set[str] = set()
        self.pulling: dict[str, asyncio.Future[None]] = {}
        self.pulls: list[str] = []
        self.is_away = False

    async def image(self, name: str) -> dict[str, Any] | None:
        if self.is_away:
            raise EngineAway("nobody listens")
        return {"Config": {"Volumes": {"/data": {}}}} if name in self.here else None

    async def pull(self, name: str, deadline_s: float) -> None:
        self.pulls.append(name)
        assert name not in self.pulling, "once at a time"
        future = self.pulling[name] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(deadline_s):
                await future
        except TimeoutError:
            raise EngineAway(f"did not answer 'pull' within {deadline_s:g} s") from None
        finally:
            del self.pulling[name]

    def end(self, name: str, error: Exception | None = None) -> None:
        if error is None:
            self.here.add(name)
            self.pulling[name].set_result(None)
        else:
            self.pulling[name].set_exception(error)


@pytest.fixture
def engine() -> Registries:
    return Registries()


@pytest.fixture
async def images(engine: Registries) -> AsyncIterator[NamedImages]:
    with structlog.testing.capture_logs():
        made = NamedImages(cast(Engine, engine), PULL_S)
        yield made
        await made.aclose()


def ask(images: NamedImages, name: str, namespace: str = "evil") -> asyncio.Task[Any]:
    return asyncio.ensure_future(images.fetch(name, namespace))


def virtual_time(scenario: Callable[[LoopClock], Awaitable[None]]) -> None:
    async def run() -> None:
        await scenario(LoopClock())

    with structlog.testing.capture_logs(), asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(run())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_is_fetched_is_known_from_then_on(engine: Registries, images: NamedImages) -> None:
    with pytest.raises(ImageUnfetched):
        await images.have("a/x")
    asked = [ask(images, "a/x"), ask(images, "a/x"), ask(images, "a/x", "other")]
    await settle()
    engine.end("a/x")
    assert {one.volumes for one in await asyncio.gather(*asked)} == {("/data",)}
    assert engine.pulls == ["a/x"]
    engine.is_away = True
    assert (await images.have("a/x")).name == "a/x"
    images.forget("a/x")
    engine.is_away = False
    engine.here.clear()
    with pytest.raises(ImageUnfetched):
        await images.have("a/x")


async def test_a_namespace_whose_registry_hangs_holds_up_no_other(engine: Registries, images: NamedImages) -> None:
    hanging = [ask(images, f"evil:5000/x{n}") for n in range(20)]
    await settle()
    assert len(engine.pulling) == 2
    good = ask(images, "good/x", "good")
    await settle()
    engine.end("good/x")
    assert (await good).name == "good/x"
    assert not any(task.done() for task in hanging)


async def test_what_one_waits_for_in_line_another_fetches_at_once(engine: Registries, images: NamedImages) -> None:
    hanging = [ask(images, f"evil:5000/x{n}") for n in range(2)]
    in_line = ask(images, "good/x")
    await settle()
    assert "good/x" not in engine.pulling
    other = ask(images, "good/x", "good")
    await settle()
    engine.end("good/x")
    assert (await other).name == "good/x"
    assert not in_line.done()
    engine.end("evil:5000/x0", EngineRefused(0, "no"))
    assert (await asyncio.wait_for(in_line, 5)).name == "good/x"
    with pytest.raises(ImageMissing):
        await hanging[0]
    assert engine.pulls.count("good/x") == 1


def test_the_line_counts_against_the_deadline(engine: Registries) -> None:
    async def scenario(clock: LoopClock) -> None:
        images = NamedImages(cast(Engine, engine), PULL_S)
        began = clock.monotonic()
        hanging = [ask(images, f"evil:5000/x{n}") for n in range(9)]
        found = await asyncio.gather(*hanging, return_exceptions=True)
        assert {type(one) for one in found} == {ImageMissing}
        assert clock.monotonic() - began < PULL_S + 10
        await clock.sleep(PULL_S + 1)  # what was begun for them last has ended too
        assert not engine.pulling
        again = ask(images, "evil:5000/x0")  # its turns are back
        await settle()
        engine.end("evil:5000/x0")
        await again
        await images.aclose()

    virtual_time(scenario)


def test_a_fetch_keeps_its_turn_when_nobody_waits_for_it_any_more(engine: Registries) -> None:
    """Else a namespace whose calls give up early would fetch without end."""

    async def scenario(clock: LoopClock) -> None:
        images = NamedImages(cast(Engine, engine), PULL_S)
        for n in range(6):
            asked = ask(images, f"evil:5000/x{n}")
            await settle()
            asked.cancel()
        assert len(engine.pulling) == 2
        await clock.sleep(PULL_S - 1)
        late = ask(images, "evil:5000/late")
        await clock.sleep(PULL_S)
        assert len(engine.pulling) == 2
        late.cancel()
        await images.aclose()

    virtual_time(scenario)


async def test_the_line_has_a_bound(engine: Registries, images: NamedImages) -> None:
    waiting = [ask(images, f"evil:5000/x{n}") for n in range(64)]
    await settle()
    with pytest.raises(ContainerCreateFailed, match="too many images"):
        await images.fetch("evil:5000/one-more", "evil")
    assert not any(task.done() for task in waiting)


async def test_whose_fault_it_is(engine: Registries, images: NamedImages) -> None:
    refused = ask(images, "a/x")
    await settle()
    engine.end("a/x", EngineRefused(404, "not found"))
    with pytest.raises(ImageMissing):
        await refused
    cut_off = ask(images, "a/x")
    await settle()
    engine.is_away = True
    engine.end("a/x", EngineAway("the connection was reset"))
    for asked in (cut_off, ask(images, "a/y")):
        with pytest.raises(ContainerCreateFailed):
            await asked
    with pytest.raises(ContainerCreateFailed):
        await images.have("a/y")


async def test_nothing_is_fetched_when_that_is_forbidden(engine: Registries) -> None:
    images = NamedImages(cast(Engine, engine), 0.0)
    with structlog.testing.capture_logs(), pytest.raises(ImageMissing):
        await images.fetch("a/x", "ns")
    assert engine.pulls == []


async def test_what_is_not_allowed_is_not_run_though_its_action_is_older(engine: Registries) -> None:
    engine.here = {"a/x", "ghcr.io/x"}
    images = NamedImages(cast(Engine, engine), PULL_S, ("ghcr.io",))
    with structlog.testing.capture_logs() as said:
        for step in (images.have("a/x"), images.fetch("a/x", "ns"), images.fetch("b/x", "ns")):
            with pytest.raises(ImageMissing):
                await step
    assert engine.pulls == []
    assert all(line["reason"].endswith("images may come from: ghcr.io") for line in said)
    assert (await images.have("ghcr.io/x")).name == "ghcr.io/x"


async def test_turns_are_forgotten_when_they_are_back() -> None:
    turns = Turns(of_one=1, at_once=2)
    await turns.take("a")
    await turns.take("b")
    waiting = [asyncio.ensure_future(turns.take(name)) for name in ("a", "c")]
    await settle()
    waiting[1].cancel()
    await settle()
    assert len(turns) == 2
    turns.give("a")
    await waiting[0]
    turns.give("a")
    turns.give("b")
    assert len(turns) == 0
