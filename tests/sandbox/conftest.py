"""Fixtures of the tests that start real guests. Each leaves the host as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sandbox.guests import leftovers, short_folder, spec
from sandbox.kits import NAMES, Kit, kit_of

from upwhisk.common.spi.containers import Container, ContainerFactory


@pytest.fixture(params=NAMES)
def kit(request: pytest.FixtureRequest) -> Iterator[Kit]:
    """Process sandboxes, then Docker containers."""
    with kit_of(request.param, request) as kit:
        yield kit


@pytest.fixture
async def factory(kit: Kit) -> AsyncIterator[ContainerFactory]:
    async with kit.make() as factory:
        yield factory


@pytest.fixture
async def guest(factory: ContainerFactory) -> Container:
    return await factory.create(spec())


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """For tests of process sandboxes alone."""
    with short_folder() as folder:
        yield folder
    assert leftovers() == {}
