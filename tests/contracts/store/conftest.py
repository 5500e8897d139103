"""Every store that there is. One with a journal is a line in `JOURNALLED`, and one in `REOPENING` if its data outlive it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from fakes.couch import KEEP_ALL, fresh_store

from upwhisk.backends.store.memory import MemoryStore
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.settings import StoreSettings
from upwhisk.common.spi.store import ArtifactStore, DocumentStore

Make = Callable[[], ArtifactStore]
Open = Callable[[], AbstractAsyncContextManager[DocumentStore]]

JOURNALLED: dict[str, Callable[[Path], Make]] = {
    "memory": lambda folder: lambda: MemoryStore(folder / "data", retention=KEEP_ALL),
    "sqlite": lambda folder: lambda: SQLiteStore(folder / "data", retention=KEEP_ALL),
    "sqlite-power": lambda folder: lambda: SQLiteStore(
        folder / "data", StoreSettings(durability="power"), retention=KEEP_ALL
    ),
}
REOPENING = ("sqlite", "sqlite-power")
COUCHDB = pytest.param("couchdb", marks=pytest.mark.external_service)
"""Its journal is the bus's, so it has no part in that suite."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "opened" in metafunc.fixturenames:
        of_journal = metafunc.module.__name__.endswith("test_journal")
        metafunc.parametrize("opened", [*JOURNALLED, *([] if of_journal else [COUCHDB])], indirect=True)


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    if request.param == "couchdb":
        server = request.getfixturevalue("couchdb")
        return lambda: fresh_store(server, tmp_path)
    return JOURNALLED[request.param](tmp_path)


@pytest.fixture
async def store(opened: Open) -> AsyncIterator[DocumentStore]:
    async with opened() as started:
        yield started


@pytest.fixture(params=REOPENING)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Makes the same store again and again, one at a time."""
    return JOURNALLED[request.param](tmp_path)
