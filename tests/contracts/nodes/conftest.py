"""Every registry that there is. Time passes by `pass_time`; one that lives on real time gets a quarter of it, of everything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from contracts.nodes.scaled import Scaled
from fakes.clock import ManualClock
from services.consul import Consul

from upwhisk.backends.nodes.consul import ConsulRegistry
from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.common.ids import new_instance_id
from upwhisk.common.settings import ConsulSettings
from upwhisk.common.spi.nodes import NodeRegistry

SCALE = 0.25
PassTime = Callable[[float], Awaitable[None]]


def consul_settings(consul: Consul, folder: Path) -> ConsulSettings:
    token = folder / "token"
    token.write_text(consul.token)
    return ConsulSettings(url=consul.url, token_file=str(token), prefix=f"test-{new_instance_id()}")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", pytest.param("consul", marks=pytest.mark.external_service)])
async def registry(
    request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path
) -> AsyncIterator[NodeRegistry]:
    if request.param == "memory":
        async with MemoryRegistry(clock) as started:
            yield started
        return
    settings = consul_settings(request.getfixturevalue("consul"), tmp_path)
    async with Scaled(ConsulRegistry(settings), SCALE) as started:
        yield started


@pytest.fixture
def pass_time(registry: NodeRegistry, clock: ManualClock) -> PassTime:
    if isinstance(registry, Scaled):
        return lambda seconds: asyncio.sleep(seconds * SCALE)
    return clock.advance
