"""Factories that keep the contract of containers. Another one joins by one more entry in `FACTORIES`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sandbox.guests import leftovers, make_factory, short_folder

from upwhisk.common.spi.containers import ContainerFactory

FACTORIES: dict[str, Callable[[Path], ContainerFactory]] = {"process": make_factory}


@pytest.fixture(params=sorted(FACTORIES))
async def factory(request: pytest.FixtureRequest, _nothing_left: Path) -> AsyncIterator[ContainerFactory]:
    async with FACTORIES[request.param](_nothing_left) as factory:
        yield factory


@pytest.fixture
def _nothing_left() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder
    assert leftovers() == {}
