"""CouchDB dies, freezes, is cut off and comes back; the servers are stand-ins of the tests' own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from fakes.couch import KEEP_ALL, fresh
from fakes.samples import document, record
from fakes.until import until, until_async
from services.couchdb import PouchDB
from services.toxiproxy import Proxy, Toxiproxy

from upwhisk.backends.store import couchdb_client
from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.spi.store import ActivationQuery

pytestmark = pytest.mark.external_service
ALL = ActivationQuery(namespace="guest")


@pytest.fixture
def proxy(own: PouchDB, toxiproxy: Toxiproxy) -> Proxy:
    return toxiproxy.proxy(f"couchdb-{own.ports[0]}", f"127.0.0.1:{own.ports[0]}")


@pytest.fixture
async def behind(own: PouchDB, proxy: Proxy, tmp_path: Path) -> AsyncIterator[CouchStore]:
    """A store whose connections go through `proxy`."""
    async with fresh(own.server, tmp_path / "couch") as settings:
        settings = msgspec.structs.replace(settings, url=f"http://{proxy.address}")
        async with CouchStore(settings, KEEP_ALL) as opened:
            yield opened
            await asyncio.to_thread(proxy.heal)


async def works_again(store: CouchStore) -> None:
    await until(lambda: store.accepts_work() is None, deadline_s=20)


async def test_a_killed_server_is_said_and_its_return_too(own: PouchDB, tmp_path: Path) -> None:
    async with fresh(own.server, tmp_path / "couch") as settings, CouchStore(settings, KEEP_ALL) as store:
        told: list[str | None] = []
        store.watch(told.append)
        kept = record()
        await store.activations.put([kept])
        await asyncio.to_thread(own.kill)
        began = time.monotonic()
        await until(lambda: store.accepts_work() is not None)
        assert time.monotonic() - began < 3
        assert settings.url in str(store.accepts_work())
        # Known to be away: whoever asks hears it at once.
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await store.entities.get("guest/hello")
        with pytest.raises(StoreUnavailable):
            await store.activations.put([record()])
        assert time.monotonic() - began < 1
        await asyncio.to_thread(own.restart)
        await works_again(store)
        await until(lambda: told.count(None) == 2)  # both feeds go on from now
        assert await store.activations.put([kept, record()]) == 1
        assert await store.activations.count(ALL) == 2
        await store.entities.put(document())
        await until(lambda: "guest/hello" in told)


async def test_a_short_restart_is_not_noticed_by_callers(own: PouchDB, tmp_path: Path) -> None:
    async with fresh(own.server, tmp_path / "couch") as settings, CouchStore(settings, KEEP_ALL) as store:
        await asyncio.to_thread(own.kill)
        writing = [asyncio.create_task(store.activations.put([record()])) for _ in range(5)]
        reading = asyncio.create_task(store.entities.get("guest/none"))
        await asyncio.to_thread(own.restart)
        assert await asyncio.gather(*writing) == [1] * 5
        assert await reading is None
        assert await store.activations.count(ALL) == 5


async def test_cut_connections(behind: CouchStore, proxy: Proxy) -> None:
    await behind.entities.put(document())
    await asyncio.to_thread(proxy.cut)
    await until(lambda: behind.accepts_work() is not None)
    await asyncio.to_thread(proxy.heal)
    await works_again(behind)
    assert await behind.entities.get("guest/hello") is not None


async def test_reset_connections(behind: CouchStore, proxy: Proxy) -> None:
    await asyncio.to_thread(proxy.reset)
    await until(lambda: behind.accepts_work() is not None)
    await asyncio.to_thread(proxy.heal)
    await works_again(behind)
    assert await behind.activations.put([record()]) == 1


async def test_a_server_that_says_nothing(behind: CouchStore, proxy: Proxy) -> None:
    """Nobody tells us: the feed's blank lines stay away."""
    await asyncio.to_thread(proxy.black_hole)
    await until(lambda: behind.accepts_work() is not None, deadline_s=15)
    await asyncio.to_thread(proxy.heal)
    await works_again(behind)
    assert await behind.activations.put([record()]) == 1


async def test_a_frozen_server(own: PouchDB, tmp_path: Path) -> None:
    async with fresh(own.server, tmp_path / "couch") as settings, CouchStore(settings, KEEP_ALL) as store:
        await asyncio.to_thread(own.pause)
        await until(lambda: store.accepts_work() is not None, deadline_s=15)
        await asyncio.to_thread(own.resume)
        await works_again(store)


async def test_records_written_through_kills_are_there_once(own: PouchDB, tmp_path: Path) -> None:
    """Whoever tries all again until it succeeds, as the recorder does, has each record once."""
    async with fresh(own.server, tmp_path / "couch") as settings, CouchStore(settings, KEEP_ALL) as store:
        records = [record() for _ in range(400)]

        async def stored(batch: int) -> bool:
            try:
                await store.activations.put(records[batch : batch + 20])
            except StoreUnavailable:
                return False
            return True

        async def write() -> None:
            for batch in range(0, len(records), 20):
                await until_async(lambda batch=batch: stored(batch), deadline_s=60)  # type: ignore[misc]

        writing = asyncio.create_task(write())
        for _ in range(3):
            await asyncio.to_thread(own.kill)
            await asyncio.to_thread(own.restart)
        await writing
        await until_async(lambda: _counts(store, 400), deadline_s=20)


async def _counts(store: CouchStore, expected: int) -> bool:
    try:
        return await store.activations.count(ALL) == expected
    except StoreUnavailable:
        return False


async def test_closing_while_it_is_away(own: PouchDB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(couchdb_client, "RETRY_S", 30.0)
    async with fresh(own.server, tmp_path / "couch") as settings:
        store = CouchStore(settings, KEEP_ALL)
        await store.start()
        await asyncio.to_thread(own.kill)
        waiting = asyncio.create_task(store.activations.put([record()]))
        await until(lambda: store._reach._failing != {})
        began = time.monotonic()
        await store.aclose()
        assert time.monotonic() - began < 2
        with pytest.raises(StoreUnavailable, match="closed"):
            await waiting
        assert store.accepts_work() == "the store is closed"
        await asyncio.to_thread(own.restart)
