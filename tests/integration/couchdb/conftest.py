"""Stores on a CouchDB, each test with databases of its own. Servers that are killed are stand-ins: one that is given is not ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fakes.couch import KEEP_ALL, fresh
from services.couchdb import PouchDB, Server
from services.fixtures import started

from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.common.settings import CouchDBSettings


@pytest.fixture
async def settings(couchdb: Server, tmp_path: Path) -> AsyncIterator[CouchDBSettings]:
    async with fresh(couchdb, tmp_path / "couch") as made:
        yield made


@pytest.fixture
async def store(settings: CouchDBSettings) -> AsyncIterator[CouchStore]:
    async with CouchStore(settings, KEEP_ALL) as opened:
        yield opened


@pytest.fixture
def own() -> Iterator[PouchDB]:
    with started(PouchDB) as server:
        yield server
