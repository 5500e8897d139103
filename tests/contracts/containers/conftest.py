"""Factories that keep the contract of containers. Another one joins by a kit in `sandbox/kits.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sandbox.kits import NAMES, kit_of

from upwhisk.common.spi.containers import ContainerFactory


@pytest.fixture(params=NAMES)
async def factory(request: pytest.FixtureRequest) -> AsyncIterator[ContainerFactory]:
    with kit_of(request.param, request) as kit:
        async with kit.make() as factory:
            yield factory
