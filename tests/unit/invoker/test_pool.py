"""The pool that carries out what the state machine says: every caller is answered, whatever containers do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from fakes.clock import ManualClock
from fakes.containers import HeldContainer, HeldFactory
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from upwhisk.common.errors import ContainerCreateFailed, ContainerError, ImageMissing, ImageUnfetched
from upwhisk.common.spi.containers import ContainerSpec
from upwhisk.invoker.pool.lease import Lease, PoolClosed
from upwhisk.invoker.pool.pool import Pool
from upwhisk.invoker.pool.slots import PoolLimits, WarmKey

PY = ContainerSpec("python:3.11", 256)
K1, K2 = WarmKey("ns", "ns/a", "1"), WarmKey("other", "ns/a", "1")
SHORT_S = 0.0001


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of failures on purpose need no tracebacks."""
    with structlog.testing.capture_logs():
        yield


class Rig:
    """A pool on held containers, with a clock that stands still."""

    def __init__(self, limits: PoolLimits) -> None:
        self.clock = ManualClock()
        self.factory = HeldFactory()
        self.pool = Pool(self.factory, limits, self.clock)
        self.steps = self.factory.steps

    def ask(self, key: WarmKey = K1, spec: ContainerSpec = PY, concurrency: int = 1) -> asyncio.Task[Lease]:
        return asyncio.ensure_future(self.pool.acquire(key, spec, concurrency))

    async def end_step(self, error: BaseException | None = None) -> str:
        name = self.steps.end(error=error)
        await self.clock.settle()
        return name

    async def warm(self, key: WarmKey = K1) -> None:
        """Leave one warm container of `key`, which is known for short runs."""
        asked = self.ask(key)
        await self.clock.settle()
        while not asked.done():
            await self.end_step()
        lease = await asked
        lease.initialised(1, 0.05)
        lease.release(keep=True, ran_s=SHORT_S)


@pytest.fixture
async def make() -> Any:
    rigs: list[Rig] = []

    async def made(memory_mb: int = 2048, **limits: Any) -> Rig:
        rig = Rig(PoolLimits(memory_mb, **limits))
        rigs.append(rig)
        await rig.pool.start()
        await rig.clock.settle()
        return rig

    yield made
    for rig in rigs:
        await rig.pool.aclose()


Make = Callable[..., Any]


async def test_a_prewarmed_container_goes_to_the_oldest_who_waits(make: Make) -> None:
    """The request that makes a prewarmed container worth its while need not be the one that gets it."""
    rig = await make(prewarm={PY: 1})
    await rig.end_step()
    await rig.warm()
    rig.pool.tick()
    await rig.clock.settle()
    await rig.end_step()
    busy = await rig.ask()
    oldest = rig.ask()  # waits: the busy one will be free sooner than another could be there
    await rig.clock.settle()
    assert not oldest.done()
    others = [rig.ask() for _ in range(600)]  # so many that another container is worth starting
    await rig.clock.settle()
    assert (await asyncio.wait_for(oldest, 1)).start == "prewarmed"
    assert not any(task.done() for task in others)
    busy.release(keep=True, ran_s=SHORT_S)
    assert (await asyncio.wait_for(others[0], 1)).start == "warm"
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def test_a_start_that_never_ends_is_given_up(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    rig = await make(start_s=0.05)
    asked = rig.ask()
    with pytest.raises(ContainerCreateFailed, match=r"not there within 0\.05 s"):
        await asyncio.wait_for(_moving(rig.clock, asked), 5)
    assert rig.pool.statistics()["starting"] == 0


async def _moving(clock: ManualClock, asked: asyncio.Task[Lease]) -> Lease:
    """Real time runs the deadline; the pool's clock has to show that the start took long."""
    await clock.settle()
    await clock.advance(30)
    return await asked


async def test_what_fails_at_once_is_tried_again(make: Make) -> None:
    rig = await make()
    asked = rig.ask()
    await rig.clock.settle()
    await rig.end_step(ContainerCreateFailed("the zygote is gone"))
    await rig.end_step(RuntimeError("something nobody thought of"))
    await rig.end_step()
    assert (await asked).start == "cold"


async def test_three_failures_are_enough(make: Make) -> None:
    rig = await make()
    asked = rig.ask()
    await rig.clock.settle()
    for _ in range(3):
        await rig.end_step(ContainerCreateFailed("no namespaces left"))
    with pytest.raises(ContainerCreateFailed, match="no namespaces left"):
        await asked
    assert not rig.steps.names()


async def test_a_missing_image_is_told_as_such_and_at_once(make: Make) -> None:
    rig = await make()
    asked = rig.ask()
    await rig.clock.settle()
    await rig.end_step(ImageMissing("nobody/nothing"))
    with pytest.raises(ImageMissing):
        await asked


async def test_a_container_that_cannot_be_resized_is_replaced(make: Make) -> None:
    rig = await make(prewarm={PY: 1})
    await rig.end_step()
    asked = rig.ask(spec=ContainerSpec("python:3.11", 512))
    await rig.clock.settle()
    assert await rig.end_step(ContainerError("cgroup says no")) == "resize 1"
    assert rig.factory.made[0].destroyed
    assert await rig.end_step() == "create 2"
    lease = await asked
    assert lease.container.spec.memory_mb == 512


async def test_a_guest_that_is_dead_at_birth_is_given_to_nobody(make: Make) -> None:
    rig = await make()
    asked = rig.ask()
    await rig.clock.settle()
    stillborn = HeldContainer("0", PY, rig.steps, held=False)
    stillborn.die()
    rig.steps.end()
    rig.factory.born = stillborn
    await rig.clock.settle()
    await rig.end_step()
    lease = await asked
    assert lease.container is not stillborn
    assert stillborn.destroyed


async def test_closing_tells_who_waits(make: Make) -> None:
    rig = await make()
    asked = rig.ask()
    await rig.clock.settle()
    await rig.pool.aclose()
    with pytest.raises(PoolClosed):
        await asked


def _named(number: int) -> ContainerSpec:
    return ContainerSpec("blackbox", 256, image=f"198.51.100.1:5000/x{number}")


async def test_images_that_hang_leave_the_starts_to_others(make: Make) -> None:
    """More of them than a node starts at once."""
    rig = await make(starts_at_once=4)
    hanging = [rig.ask(WarmKey("ns", f"ns/x{n}", "1"), _named(n)) for n in range(8)]
    await rig.clock.settle()
    other = rig.ask(K2)
    await rig.clock.settle()
    assert rig.pool.statistics()["starting"] == 1
    assert rig.steps.names()[-1] == "create 1"
    rig.steps.end(index=8)
    assert (await asyncio.wait_for(other, 1)).start == "cold"
    assert not any(task.done() for task in hanging)
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    assert not rig.steps.names()


async def test_an_image_is_fetched_before_the_start_and_not_for_what_runs(make: Make) -> None:
    rig = await make()
    asked = rig.ask(spec=_named(0))
    await rig.clock.settle()
    assert await rig.end_step() == "prepare 198.51.100.1:5000/x0"
    assert await rig.end_step() == "create 1"
    lease = await asked
    lease.initialised(1, 0.05)
    rig.factory.fetched.clear()
    lease.release(keep=True, ran_s=SHORT_S)
    assert (await asyncio.wait_for(rig.ask(spec=_named(0)), 1)).start == "warm"


async def test_an_image_that_went_meanwhile_is_fetched_again(make: Make) -> None:
    rig = await make()
    asked = rig.ask(spec=_named(0))
    await rig.clock.settle()
    await rig.end_step()
    rig.factory.fetched.clear()
    await rig.end_step(ImageUnfetched("x0"))
    assert await rig.end_step() == "prepare 198.51.100.1:5000/x0"
    assert await rig.end_step() == "create 2"
    assert (await asyncio.wait_for(asked, 1)).start == "cold"


async def test_an_image_that_is_always_gone_again_is_given_up(make: Make) -> None:
    rig = await make()
    asked = rig.ask(spec=_named(0))
    await rig.clock.settle()
    for _ in range(3):
        assert await rig.end_step() == "prepare 198.51.100.1:5000/x0"
        rig.factory.fetched.clear()
        await rig.end_step(ImageUnfetched("x0"))
    with pytest.raises(ContainerCreateFailed, match="gone again, 3 times"):
        await asked


async def test_closing_tells_who_waits_for_an_image(make: Make) -> None:
    rig = await make()
    asked = rig.ask(spec=_named(0))
    await rig.clock.settle()
    await rig.pool.aclose()
    with pytest.raises(PoolClosed):
        await asked
    with pytest.raises(PoolClosed):
        await rig.ask(spec=_named(0))


async def test_who_gives_up_waits_for_no_image(make: Make) -> None:
    rig = await make()
    asked = rig.ask(spec=_named(0))
    await rig.clock.settle()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert not rig.steps.names()


class StandingLoop(asyncio.SelectorEventLoop):
    """Timers fire when the test says so."""

    now = 0.0

    def time(self) -> float:
        return self.now


class LoopClock:
    """The pool's clock and its timers show the same."""

    def __init__(self, loop: StandingLoop) -> None:
        self._loop = loop

    def now_ms(self) -> int:
        return round(self._loop.now * 1000)

    def monotonic(self) -> float:
        return self._loop.now

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class AnyLuck(RuleBasedStateMachine):
    """Callers come, give up and go; containers are made, fail, hang, freeze and die."""

    @initialize(prewarm=st.integers(0, 2))
    def begin(self, prewarm: int) -> None:
        self.loop = StandingLoop()
        self.factory = HeldFactory()
        limits = PoolLimits(1024, prewarm={PY: prewarm}, starts_at_once=2)
        self.pool = Pool(self.factory, limits, LoopClock(self.loop))
        self.asked: list[tuple[WarmKey, asyncio.Task[Lease]]] = []
        self.held: list[tuple[WarmKey, Lease]] = []
        self.used: dict[str, WarmKey] = {}
        self.run(self.pool.start())

    def run(self, work: Any = None) -> None:
        async def all_of_it() -> None:
            if work is not None:
                await work
            for _ in range(12):
                await asyncio.sleep(0)

        self.loop.run_until_complete(all_of_it())
        self.collect()

    def collect(self) -> None:
        for key, task in [pair for pair in self.asked if pair[1].done()]:
            self.asked.remove((key, task))
            if task.exception() is None:
                lease = task.result()
                assert self.used.setdefault(lease.container.id, key) == key
                assert all(lease.container is not other.container for _, other in self.held), "one at a time"
                self.held.append((key, lease))

    @rule(key=st.sampled_from([K1, K2]), memory_mb=st.sampled_from([128, 256, 512]), times=st.integers(1, 4))
    def ask(self, key: WarmKey, memory_mb: int, times: int) -> None:
        spec = ContainerSpec("python:3.11", memory_mb)
        for _ in range(times):
            self.asked.append((key, self.loop.create_task(self.pool.acquire(key, spec, 1))))
        self.run()

    @precondition(lambda self: self.asked)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        key, task = data.draw(st.sampled_from(self.asked))
        self.asked.remove((key, task))
        task.cancel()
        self.run()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), keep=st.booleans(), ran_s=st.sampled_from([0.015, 1.0]))
    def give_back(self, data: st.DataObject, keep: bool, ran_s: float) -> None:
        key, lease = data.draw(st.sampled_from(self.held))
        self.held.remove((key, lease))
        self.in_loop(lambda: self.end(lease, keep=keep, ran_s=ran_s))

    def end(self, lease: Lease, *, keep: bool, ran_s: float = SHORT_S) -> None:
        if lease.fresh and keep:
            lease.initialised(1, 0.02)
        lease.release(keep=keep, ran_s=ran_s)

    def in_loop(self, action: Callable[[], None]) -> None:
        async def inside() -> None:
            action()

        self.run(inside())

    @precondition(lambda self: self.factory.steps.names())
    @rule(data=st.data(), error=st.sampled_from([None, None, ContainerCreateFailed("x"), ContainerError("y"), OSError("z")]))
    def end_of_step(self, data: st.DataObject, error: BaseException | None) -> None:
        names = self.factory.steps.names()
        index = data.draw(st.integers(0, len(names) - 1))
        if error is not None and not names[index].startswith("create"):
            error = ContainerError("y")  # containers translate their errors
        self.factory.steps.end(index, error)
        self.run()

    @precondition(lambda self: any(c.alive for c in self.factory.made))
    @rule(data=st.data())
    def death(self, data: st.DataObject) -> None:
        victim = data.draw(st.sampled_from([c for c in self.factory.made if c.alive]))
        self.in_loop(victim.die)

    @rule(seconds=st.sampled_from([0.01, 0.3, 11.0, 61.0, 700.0]))
    def time(self, seconds: float) -> None:
        self.loop.now += seconds
        self.run()

    @invariant()
    def who_waits_is_known(self) -> None:
        if hasattr(self, "pool"):
            resizing = sum(name.startswith("resize") for name in self.factory.steps.names())
            assert self.pool.state.waiting + resizing == len(self.asked)

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        for _ in range(300):
            if not self.asked:
                break
            while self.factory.steps.names():
                self.factory.steps.end()
                self.run()
            while self.held:
                _, lease = self.held.pop()
                self.in_loop(lambda lease=lease: self.end(lease, keep=True))  # type: ignore[misc]
            self.loop.now += 0.5
            self.run()
        unanswered = len(self.asked)
        for _, task in self.asked:
            task.cancel()
        self.loop.run_until_complete(self.pool.aclose())
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        assert not unanswered
        assert all(container.destroyed for container in self.factory.made)


AnyLuck.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestAnyLuck = AnyLuck.TestCase
