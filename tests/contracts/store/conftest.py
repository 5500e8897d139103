"""Every store that there is. A new one is one line in `STORES`, and one in `REOPENING` if its data outlive it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from upwhisk.backends.store.memory import MemoryStore
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.settings import RetentionSettings, StoreSettings
from upwhisk.common.spi.store import ArtifactStore

KEEP_ALL = RetentionSettings(max_age_s=0, max_records=0, max_mb=0)
Make = Callable[[], ArtifactStore]

STORES: dict[str, Callable[[Path], Make]] = {
    "memory": lambda folder: lambda: MemoryStore(folder / "data", retention=KEEP_ALL),
    "sqlite": lambda folder: lambda: SQLiteStore(folder / "data", retention=KEEP_ALL),
    "sqlite-power": lambda folder: lambda: SQLiteStore(
        folder / "data", StoreSettings(durability="power"), retention=KEEP_ALL
    ),
}
REOPENING = ("sqlite", "sqlite-power")


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ArtifactStore]:
    async with STORES[request.param](tmp_path)() as started:
        yield started


@pytest.fixture(params=REOPENING)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes the same store again and again, one at a time."""
    return STORES[request.param](tmp_path)
