"""What one process writes, another hears of within a second."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from fakes.couch import KEEP_ALL
from fakes.samples import document, record
from fakes.until import until

from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.backends.store.couchdb_changes import HEARTBEAT_S
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.settings import CouchDBSettings

ANNA = Subject("anna.m", (NamespaceKey("anna.m", "u-1", "k" * 64),))


@pytest.fixture
async def second(settings: CouchDBSettings) -> AsyncIterator[CouchStore]:
    """Another controller of the same fleet."""
    async with CouchStore(settings, KEEP_ALL) as opened:
        yield opened


async def test_every_kind_of_change_is_told(store: CouchStore, second: CouchStore) -> None:
    told: list[str | None] = []
    second.watch(told.append)

    async def heard(id: str) -> None:
        began = time.monotonic()
        await until(lambda: id in told)
        assert time.monotonic() - began < 1
        told.clear()

    first = await store.entities.put(document(package="pkg"))
    await heard("guest/pkg/hello")
    revision = await store.entities.put(document(package="pkg", revision=first))
    await heard("guest/pkg/hello")
    await store.entities.delete("guest/pkg/hello", revision)
    await heard("guest/pkg/hello")
    await store.subjects.put(ANNA)
    await heard("anna.m")
    await store.subjects.put_limits("anna.m", NamespaceLimits(fires_per_minute=1))
    await heard("anna.m/limits")
    await store.entities.put(document(namespace="_team"))
    await heard("_team/hello")
    await store.subjects.delete("anna.m")
    await heard("anna.m")


async def test_what_was_written_is_read_at_once_elsewhere(store: CouchStore, second: CouchStore) -> None:
    revision = await store.entities.put(document(attachment=b"code"))
    found = await second.entities.get("guest/hello", attachment=True)
    assert found == document(revision=revision, has_attachment=True, attachment=b"code")
    await store.subjects.put(ANNA)
    assert await second.subjects.by_uuid("u-1") == ANNA
    written = record()
    assert await store.activations.put([written]) == 1
    assert await second.activations.put([written]) == 0


async def test_a_watcher_that_ended_or_failed(store: CouchStore, second: CouchStore) -> None:
    told: list[str | None] = []
    ended: list[str | None] = []

    def fails(id: str | None) -> None:
        raise ValueError("a fault of this watcher")

    end = second.watch(ended.append)
    second.watch(fails)
    second.watch(told.append)
    end()
    end()
    await store.entities.put(document("one"))
    await store.entities.put(document("two"))
    await until(lambda: "guest/one" in told and "guest/two" in told)
    assert ended == []


async def test_many_changes_at_once(store: CouchStore, second: CouchStore) -> None:
    told: set[str | None] = set()
    second.watch(told.add)
    for number in range(60):
        await store.entities.put(document(f"a{number}"))
    await until(lambda: len(told) == 60)


async def test_a_quiet_feed_is_no_broken_one(store: CouchStore, second: CouchStore) -> None:
    """Longer than a feed may say nothing at all."""
    told: list[str | None] = []
    second.watch(told.append)
    with pytest.raises(TimeoutError):
        await until(lambda: told != [] or second.accepts_work() is not None, deadline_s=3 * HEARTBEAT_S + 1)
    await store.entities.put(document())
    await until(lambda: told == ["guest/hello"])
