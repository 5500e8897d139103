from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from api.platform import GUEST, in_process
from cli.command import Command, Recorder, recorder
from fakes.running import Running


@pytest.fixture
def server() -> Iterator[Recorder]:
    with recorder() as server:
        yield server


@pytest.fixture
def recorded(server: Recorder, tmp_path: Path) -> Command:
    """The command, speaking to `server`."""
    return Command(tmp_path, server.url)


@pytest.fixture
async def upwhisk(tmp_path: Path) -> AsyncIterator[Command]:
    """The command, speaking to the real API with scripted parts behind it."""
    async with in_process() as local:
        yield Command(tmp_path, f"http://127.0.0.1:{local.server.port}", GUEST)


@pytest.fixture
def whole(standalone: Running, tmp_path: Path) -> Command:
    """The command, speaking to a whole platform."""
    return Command(tmp_path, standalone.url, standalone.key)
