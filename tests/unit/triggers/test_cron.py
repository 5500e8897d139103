"""The cron feed's own parameters and times."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from fakes.clock import ManualClock
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.errors import BadRequest, TooManyRequests, Unavailable
from upwhisk.triggers.cronexpr import occurrences, parse_zone
from upwhisk.triggers.feeds.cron import ATTEMPTS, CronFeed

EXPRESSIONS = ("* * * * *", "*/5 * * * *", "0 3 * * 1-5", "15,45 2 1 * *", "30 2 * * *", "*/10 * * * * *", "0 0 29 2 *")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")


class Times:
    """Fires into a list of wall-clock times."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.fired: list[datetime] = []
        self.payloads: list[dict[str, Any]] = []
        self.failures: list[Exception] = []
        self.attempts: list[float] = []

    async def fire(self, payload: dict[str, Any]) -> None:
        self.attempts.append(self.clock.monotonic())
        if self.failures:
            raise self.failures.pop(0)
        self.fired.append(datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC))
        self.payloads.append(payload)

    async def checkpoint(self, text: str) -> None:
        self.text = text

    def run(self, since: str | None = None, **parameters: Any) -> asyncio.Task[None]:
        feed = CronFeed(self.clock)
        return asyncio.create_task(feed.run(parameters, since=since, fire=self.fire, checkpoint=self.checkpoint))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(int(datetime(2026, 3, 28, 12, 0, 30, tzinfo=UTC).timestamp() * 1000))


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@given(
    st.sampled_from(EXPRESSIONS),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2024, 1, 1), datetime(2028, 12, 31)),
)
def test_occurrences_rise_and_lie_behind_the_beginning(expression: str, zone: str, begin: datetime) -> None:
    after = begin.replace(tzinfo=UTC).astimezone(parse_zone(zone))
    times = [each.astimezone(UTC) for each in islice(occurrences(expression, after), 5)]
    assert times == sorted(set(times))
    assert times[0] > after


async def test_times_are_of_the_given_zone_also_when_the_clocks_change(clock: ManualClock) -> None:
    times = Times(clock)
    task = times.run(cron="0 9 * * *", timezone="Europe/Berlin")
    await clock.advance(3 * 24 * 3600)
    await stop(task)
    assert [each.hour for each in times.fired] == [7, 7, 7]  # 28 March: 9 o'clock has passed; summer time from the 29th
    assert [each.day for each in times.fired] == [29, 30, 31]


async def test_six_fields_begin_with_seconds(clock: ManualClock) -> None:
    times = Times(clock)
    task = times.run(cron="*/10 * * * * *")
    await clock.advance(35)
    await stop(task)
    assert [each.second for each in times.fired] == [40, 50, 0]


async def test_start_stop_and_the_number_of_fires(clock: ManualClock) -> None:
    now = clock.now_ms()
    times = Times(clock)
    task = times.run(cron="* * * * *", startDate=now + 600_000, stopDate=now + 780_000)
    await clock.advance(3600)
    await task
    assert len(times.fired) == 3
    assert times.fired[0] == datetime(2026, 3, 28, 12, 11, tzinfo=UTC)
    times = Times(clock)
    task = times.run(cron="* * * * *", maxTriggers=3)
    await clock.advance(120)
    await stop(task)
    task = times.run(since=times.text, cron="* * * * *", maxTriggers=3)
    await clock.advance(3600)
    await task
    assert len(times.fired) == 3


async def test_a_start_at_a_matching_minute_fires_at_it(clock: ManualClock) -> None:
    times = Times(clock)
    task = times.run(cron="* * * * *", startDate="2026-03-28T12:10:00Z")
    await clock.advance(600)
    await stop(task)
    assert times.fired[0] == datetime(2026, 3, 28, 12, 10, tzinfo=UTC)


async def test_the_wall_clock_may_be_set_while_it_waits(clock: ManualClock) -> None:
    times = Times(clock)
    task = times.run(cron="0 0 * * *")
    await clock.advance(60)
    clock.set_wall(int((datetime(2026, 3, 29, tzinfo=UTC) - timedelta(seconds=30)).timestamp() * 1000))
    await clock.advance(61)
    await stop(task)
    assert len(times.fired) == 1


async def test_refusals_for_too_many_wait_longer_each_time(clock: ManualClock) -> None:
    times = Times(clock)
    times.failures = [TooManyRequests(), TooManyRequests(), TooManyRequests()]
    task = times.run(cron="* * * * *")
    await clock.advance(55)
    await stop(task)
    assert times.attempts == [30.0, 31.0, 35.0, 44.0]


async def test_after_ten_attempts_it_gives_up(clock: ManualClock) -> None:
    times = Times(clock)
    times.failures = [Unavailable() for _ in range(20)]
    task = times.run(cron="* * * * *")
    await clock.advance(120)
    with pytest.raises(Unavailable):
        await task
    assert len(times.attempts) == ATTEMPTS


@pytest.mark.parametrize(
    ("given_payload", "expected"), [(None, {}), ("text", {"payload": "text"}), ({"a": 1}, {"a": 1})]
)
async def test_payloads(clock: ManualClock, given_payload: Any, expected: dict[str, Any]) -> None:
    times = Times(clock)
    task = times.run(cron="* * * * *", trigger_payload=given_payload)
    await clock.advance(30)
    await stop(task)
    assert times.payloads == [expected]


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"cron": 5}, "cron parameter is missing"),
        ({"cron": "61 * * * *"}, "cron parameter '61 .*Bad minute"),
        ({"cron": "0 0 30 2 *"}, "cron parameter"),
        ({"timezone": "../etc/passwd"}, "is no time zone"),
        ({"timezone": ""}, "is no time zone"),
        ({"startDate": 1000}, "startDate parameter '1000' must be in the future"),
        ({"startDate": "soon"}, "startDate parameter 'soon' is not a valid Date"),
        ({"stopDate": "2020-01-01"}, "stopDate parameter '2020-01-01' must be in the future"),
        ({"startDate": "2030-01-02", "stopDate": "2030-01-01"}, "must be greater than the startDate"),
        ({"maxTriggers": 0}, "maxTriggers"),
        ({"maxTriggers": "many"}, "maxTriggers"),
        ({"trigger_payload": 5}, "trigger_payload"),
    ],
)
def test_what_is_refused(clock: ManualClock, parameters: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        CronFeed(clock).validate({"cron": "* * * * *", **parameters})


def test_what_is_accepted(clock: ManualClock) -> None:
    dates = {"startDate": "2030-01-01T00:00:00+02:00", "stopDate": 2_000_000_000_000}
    CronFeed(clock).validate({"cron": "* * * * *", "timezone": "Europe/Berlin", "maxTriggers": -1, **dates})
