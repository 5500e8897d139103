"""Every feed that there is; a new one is one line: how to make it, and parameters with which it fires."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from fakes.clock import ManualClock

from upwhisk.common.spi.feeds import Feed
from upwhisk.triggers.feeds.cron import CronFeed


class Case(NamedTuple):
    """`wrong`: parameters that are refused, with the word that the refusal has to name."""

    make: Callable[[ManualClock], Feed]
    parameters: dict[str, Any]
    wrong: list[tuple[dict[str, Any], str]]


FEEDS = {
    "cron": Case(
        CronFeed,
        {"cron": "* * * * *", "trigger_payload": {"a": 1}},
        [({}, "cron"), ({"cron": "* *"}, "cron"), ({"cron": "* * * * *", "timezone": "Mars"}, "timezone")],
    ),
}


@pytest.fixture(params=FEEDS)
def case(request: pytest.FixtureRequest) -> Case:
    return FEEDS[request.param]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
