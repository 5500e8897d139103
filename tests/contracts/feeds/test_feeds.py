"""Feeds: fire, remember, go on; an event may come twice, it is never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from fakes.clock import ManualClock

from upwhisk.common.errors import BadRequest, NotFound, Unavailable
from upwhisk.common.spi.feeds import Feed


class Case(NamedTuple):
    make: Callable[[ManualClock], Feed]
    parameters: dict[str, Any]
    wrong: list[tuple[dict[str, Any], str]]


class Trigger:
    """What a feed fires: keeps the payloads and the last checkpoint; `failures` are raised first."""

    def __init__(self) -> None:
        self.fired: list[dict[str, Any]] = []
        self.checkpoint_text: str | None = None
        self.failures: list[Exception] = []
        self.checkpoint_failure: Exception | None = None

    async def fire(self, payload: dict[str, Any]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.fired.append(payload)

    async def checkpoint(self, text: str) -> None:
        if self.checkpoint_failure is not None:
            raise self.checkpoint_failure
        self.checkpoint_text = text

    def run(self, feed: Feed, parameters: dict[str, Any]) -> asyncio.Task[None]:
        work = feed.run(parameters, since=self.checkpoint_text, fire=self.fire, checkpoint=self.checkpoint)
        return asyncio.create_task(work)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_wrong_parameters_are_refused_by_name(case: Case, clock: ManualClock) -> None:
    feed = case.make(clock)
    feed.validate(case.parameters)
    for parameters, word in case.wrong:
        with pytest.raises(BadRequest, match=word):
            feed.validate(parameters)


async def test_it_fires_until_it_is_cancelled(case: Case, clock: ManualClock) -> None:
    trigger = Trigger()
    task = trigger.run(case.make(clock), case.parameters)
    for _ in range(5):
        await clock.advance(60)
    await stop(task)
    assert len(trigger.fired) == 5
    await clock.advance(300)
    assert len(trigger.fired) == 5


async def test_after_a_crash_it_goes_on_where_it_was_without_losing_a_fire(case: Case, clock: ManualClock) -> None:
    trigger = Trigger()
    task = trigger.run(case.make(clock), case.parameters)
    await clock.advance(180)
    assert len(trigger.fired) == 3
    await stop(task)
    await clock.advance(240)
    task = trigger.run(case.make(clock), case.parameters)
    await clock.advance(60)
    await stop(task)
    assert len(trigger.fired) == 8


async def test_a_crash_between_fire_and_checkpoint_repeats_the_fire(case: Case, clock: ManualClock) -> None:
    trigger = Trigger()
    task = trigger.run(case.make(clock), case.parameters)
    await clock.advance(60)
    trigger.checkpoint_failure = OSError("killed")
    await clock.advance(60)
    with pytest.raises(OSError, match="killed"):
        await task
    trigger.checkpoint_failure = None
    task = trigger.run(case.make(clock), case.parameters)
    await clock.advance(60)
    await stop(task)
    assert len(trigger.fired) == 4


async def test_a_crash_before_the_first_fire_loses_nothing(case: Case, clock: ManualClock) -> None:
    trigger = Trigger()
    task = trigger.run(case.make(clock), case.parameters)
    await clock.advance(30)
    await stop(task)
    await clock.advance(60)
    task = trigger.run(case.make(clock), case.parameters)
    await clock.settle()
    await stop(task)
    assert len(trigger.fired) == 1


async def test_a_fire_that_cannot_be_accepted_now_is_tried_again(case: Case, clock: ManualClock) -> None:
    trigger = Trigger()
    task = trigger.run(case.make(clock), case.parameters)
    trigger.failures = [Unavailable(), Unavailable()]
    await clock.advance(60)
    assert trigger.fired == []
    await clock.advance(10)
    assert len(trigger.fired) == 1
    await stop(task)


async def test_a_refusal_for_good_ends_it_unfired(case: Case, clock: ManualClock) -> None:
    trigger = Trigger()
    task = trigger.run(case.make(clock), case.parameters)
    await clock.settle()
    before = trigger.checkpoint_text
    trigger.failures = [NotFound()]
    await clock.advance(60)
    with pytest.raises(NotFound):
        await task
    assert (trigger.fired, trigger.checkpoint_text) == ([], before)
