"""Cron expressions: five fields, or six with seconds first; times in a time zone. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from upwhisk.common.errors import BadRequest


def parse_zone(name: str) -> tzinfo:
    """`BadRequest` for a name that is no time zone."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadRequest(f"timezone parameter '{name}' is no time zone: give a name such as Europe/Berlin") from None


def occurrences(expression: str, after: datetime) -> Iterator[datetime]:
    """The times that match, in order, all later than `after`, in its time zone, until there is none within the next
    years. `BadRequest` for an expression that is none."""
    try:
        times = CronSim(expression, after)
    except (CronSimError, ValueError) as error:
        raise BadRequest(
            f"cron parameter '{expression}' is not valid ({error}): five fields are"
            " minute hour day-of-month month day-of-week, six begin with second"
        ) from None
    return iter(times)
