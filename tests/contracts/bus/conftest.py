"""Every bus that there is; a new one is one line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from upwhisk.backends.bus.memory import MemoryBus
from upwhisk.common.spi.bus import MessageBus

BUSES: dict[str, Callable[[], MessageBus]] = {"memory": MemoryBus}


@pytest.fixture(params=BUSES)
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[MessageBus]:
    async with BUSES[request.param]() as started:
        yield started
