"""Every log store that there is; a new one is one line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from fakes.clock import ManualClock

from upwhisk.backends.logs.inline import InlineLogStore
from upwhisk.common.spi.logs import LogStore

LOG_STORES: dict[str, Callable[[ManualClock], LogStore]] = {"inline": InlineLogStore}


@pytest.fixture(params=LOG_STORES)
async def logs(request: pytest.FixtureRequest) -> AsyncIterator[LogStore]:
    async with LOG_STORES[request.param](ManualClock()) as started:
        yield started
