"""One timer for many deadlines."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upwhisk.common.deadlines import Deadlines


class StandingLoop(asyncio.SelectorEventLoop):
    """Timers fire when the test says so."""

    now = 0.0

    def time(self) -> float:
        return self.now


def run_to(loop: StandingLoop, now: float) -> None:
    loop.now = now
    for _ in range(3):
        loop.run_until_complete(asyncio.sleep(0))


async def added(deadlines: Deadlines[str], item: str, seconds: float) -> None:
    deadlines.add(item, seconds)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from([0.5, 1.0, 5.0, None]), st.sampled_from([0.0, 0.3, 2.0])),
        max_size=30,
    )
)
def test_each_passes_once_in_its_time_unless_removed(steps: list[tuple[str, float | None, float]]) -> None:
    loop = StandingLoop()
    try:
        passed: list[tuple[str, float]] = []
        deadlines: Deadlines[str] = Deadlines(lambda item: passed.append((item, loop.now)))
        due: dict[str, float] = {}
        expected: list[tuple[str, float]] = []
        for item, seconds, pause in steps:
            if seconds is None:
                deadlines.remove(item)
                due.pop(item, None)
            else:
                loop.run_until_complete(added(deadlines, item, seconds))
                due[item] = loop.now + seconds
            target = loop.now + pause
            run_to(loop, target)
            gone = sorted(item for item, at in due.items() if at <= target + 0.001)
            expected += [(item, target) for item in gone]
            for item in gone:
                del due[item]
            assert sorted(passed) == sorted(expected)
            assert len(deadlines) == len(due)
    finally:
        deadlines.close()
        loop.close()


@pytest.fixture
def loop() -> Iterator[StandingLoop]:
    made = StandingLoop()
    yield made
    made.close()


def test_what_is_due_first_rings_first(loop: StandingLoop) -> None:
    passed: list[str] = []
    deadlines: Deadlines[str] = Deadlines(passed.append)
    loop.run_until_complete(added(deadlines, "late", 30.0))
    loop.run_until_complete(added(deadlines, "early", 0.01))
    run_to(loop, 0.02)
    assert passed == ["early"]
    assert len(deadlines) == 1
    deadlines.close()
    run_to(loop, 60.0)
    assert passed == ["early"]


def test_one_may_remove_another(loop: StandingLoop) -> None:
    passed: list[str] = []

    def take_all(item: str) -> None:
        passed.append(item)
        deadlines.remove("a")
        deadlines.remove("b")

    deadlines: Deadlines[str] = Deadlines(take_all)
    loop.run_until_complete(added(deadlines, "a", 1.0))
    loop.run_until_complete(added(deadlines, "b", 1.0))
    run_to(loop, 1.0)
    assert len(passed) == 1
    assert not deadlines
    assert math.isinf(deadlines._armed)
