"""The fixture `standalone`, for every suite that asks a real platform."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.running import Running


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One platform for the tests of a module."""
    running = Running(tmp_path_factory.mktemp("platform") / "data").start()
    yield running
    assert running.stop() == 0
