"""Fixtures of the tests that start real guests. Each leaves the host as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sandbox.guests import leftovers, make_factory, short_folder, spec

from upwhisk.common.spi.containers import Container
from upwhisk.invoker.containers.process import ProcessFactory


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    yield
    assert leftovers() == {}


@pytest.fixture
def run_dir(_nothing_left: None) -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


@pytest.fixture
async def factory(run_dir: Path) -> AsyncIterator[ProcessFactory]:
    async with make_factory(run_dir) as factory:
        yield factory


@pytest.fixture
async def guest(factory: ProcessFactory) -> Container:
    return await factory.create(spec())
