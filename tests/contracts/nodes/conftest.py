"""Every registry that there is; a new one is one line. Time passes by `pass_time`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from fakes.clock import ManualClock

from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.common.spi.nodes import NodeRegistry

REGISTRIES: dict[str, Callable[[ManualClock], NodeRegistry]] = {"memory": MemoryRegistry}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=REGISTRIES)
async def registry(request: pytest.FixtureRequest, clock: ManualClock) -> AsyncIterator[NodeRegistry]:
    async with REGISTRIES[request.param](clock) as started:
        yield started


@pytest.fixture
def pass_time(clock: ManualClock) -> Callable[[float], Awaitable[None]]:
    """A registry that lives on real time gets another one."""
    return clock.advance
