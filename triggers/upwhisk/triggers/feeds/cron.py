"""The cron feed: fires its trigger at the times of a cron expression.

The checkpoint is the time of the last fire and how many there were. Times that passed while nobody ran are fired
one after another at the next start: a fire may come late or twice, it is never lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from upwhisk.common.clock import Clock, SystemClock
from upwhisk.common.errors import BadRequest, CallerError, PlatformError
from upwhisk.common.spi.feeds import Checkpoint, Feed, Fire
from upwhisk.triggers.cronexpr import occurrences, parse_zone

ATTEMPTS = 10
LONGEST_SLEEP_S = 60.0
"""The wall clock may be set while we sleep, so it is looked at this often."""
_PASSING = frozenset({408, 409, 429})
"""Refusals of the caller's kind that another attempt may overcome."""


class Schedule(NamedTuple):
    """`start_ms` and `stop_ms`: no fire before the one, none at or after the other. `most`: fires in all."""

    expression: str
    zone: tzinfo
    payload: dict[str, Any]
    start_ms: int | None
    stop_ms: int | None
    most: int | None


class Progress(NamedTuple):
    """`fired_ms`: everything up to then was fired."""

    fired_ms: int
    fires: int

    def __str__(self) -> str:
        return f"{self.fired_ms} {self.fires}"


class CronFeed(Feed):
    """Parameters: `cron`, `timezone` (UTC), `trigger_payload`, `startDate`, `stopDate`, `maxTriggers`."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()

    def validate(self, parameters: Mapping[str, Any]) -> None:
        schedule = parse_schedule(parameters)
        now = self._clock.now_ms()
        for name, value in (("startDate", schedule.start_ms), ("stopDate", schedule.stop_ms)):
            if value is not None and value <= now:
                raise BadRequest(f"{name} parameter '{parameters[name]}' must be in the future")
        if schedule.start_ms is not None and schedule.stop_ms is not None and schedule.stop_ms <= schedule.start_ms:
            raise BadRequest(f"stopDate parameter '{parameters['stopDate']}' must be greater than the startDate")

    async def run(
        self, parameters: Mapping[str, Any], *, since: str | None, fire: Fire, checkpoint: Checkpoint
    ) -> None:
        """Raises what `fire` raised last when an attempt is hopeless or ten failed; the event stays unfired."""
        schedule = parse_schedule(parameters)
        if since is None:
            progress = Progress(self._clock.now_ms(), 0)
            await checkpoint(str(progress))  # a crash before the first fire must not move the beginning
        else:
            progress = parse_progress(since)
        after = max(progress.fired_ms, (schedule.start_ms or 0) - 1)
        for at in occurrences(schedule.expression, datetime.fromtimestamp(after / 1000, schedule.zone)):
            at_ms = int(at.timestamp() * 1000)
            is_over = schedule.stop_ms is not None and at_ms >= schedule.stop_ms
            if is_over or (schedule.most is not None and progress.fires >= schedule.most):
                return
            await self._wait_until(at_ms)
            await self._fire(fire, schedule.payload)
            progress = Progress(at_ms, progress.fires + 1)
            await checkpoint(str(progress))

    async def _wait_until(self, at_ms: int) -> None:
        while (left_ms := at_ms - self._clock.now_ms()) > 0:
            await self._clock.sleep(min(left_ms / 1000, LONGEST_SLEEP_S))

    async def _fire(self, fire: Fire, payload: dict[str, Any]) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await fire(payload)
                return
            except (CallerError, PlatformError) as error:
                hopeless = isinstance(error, CallerError) and error.status not in _PASSING
                if hopeless or attempt == ATTEMPTS:
                    raise
                await self._clock.sleep(attempt**2 if error.status == 429 else 1)


def parse_schedule(parameters: Mapping[str, Any]) -> Schedule:
    """`BadRequest` that names the parameter."""
    expression = parameters.get("cron")
    if not isinstance(expression, str):
        raise BadRequest("cron parameter is missing: give five fields, or six with seconds")
    zone = parse_zone(str(parameters.get("timezone", "UTC")))
    occurrences(expression, datetime.fromtimestamp(0, zone))
    return Schedule(
        expression,
        zone,
        _payload(parameters.get("trigger_payload")),
        _date(parameters, "startDate"),
        _date(parameters, "stopDate"),
        _most(parameters.get("maxTriggers")),
    )


def parse_progress(text: str) -> Progress:
    fired_ms, _, fires = text.partition(" ")
    return Progress(int(fired_ms), int(fires or 0))


def _payload(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case str():
            return {"payload": value}
        case dict():
            return value
        case _:
            raise BadRequest("trigger_payload parameter must be an object or a text")


def _date(parameters: Mapping[str, Any], name: str) -> int | None:
    """Ms since the epoch, from a number of them or an ISO 8601 text (UTC if it names no zone)."""
    value = parameters.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value)
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{name} parameter '{value}' is not a valid Date") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def _most(value: Any) -> int | None:
    if value is None or value == -1:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadRequest(f"maxTriggers parameter '{value}' must be a number of fires, or -1 for no limit")
    return value
