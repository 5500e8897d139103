"""Cached reads and writes."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from upwhisk.backends.store.memory_entities import MemoryEntities
from upwhisk.common.errors import Conflict, InternalError, NotFound
from upwhisk.common.model.action import Action, Exec
from upwhisk.common.model.package import Package
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.trigger import Trigger
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import Document
from upwhisk.controller.accept import ref_and_demand
from upwhisk.controller.catalog import CONCURRENT, CORRUPTED, WRONG_COLLECTION, Catalog


class CountingEntities(MemoryEntities):
    """`gate`, if closed, holds reads after they have read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def get(self, id: str, *, attachment: bool = False) -> Document | None:
        self.reads += 1
        document = await super().get(id, attachment=attachment)
        await self.gate.wait()
        return document


class HeldWrites(CountingEntities):
    """`gate` holds writes too, after they have written."""

    async def put(self, document: Document) -> str:
        revision = await super().put(document)
        await self.gate.wait()
        return revision


def action(name: str = "a", code: str = "x", package: str | None = None) -> Action:
    return Action(name=EntityName("ns", package, name), exec=Exec("python:3.11", code=code))


async def test_a_warm_resolve_needs_no_store() -> None:
    store = CountingEntities()
    catalog = Catalog(store)
    await catalog.put(Package(name=EntityName("ns", None, "p"), parameters=(Parameter("k", 1),)))
    await catalog.put(action(package="p"))
    name = EntityName("ns", "p", "a")
    first = await catalog.resolve(name)
    reads = store.reads
    assert await catalog.resolve(name) is first
    assert catalog.warm("ns/p/a") is first
    assert store.reads == reads


async def test_writes_are_seen_at_once() -> None:
    catalog = Catalog(CountingEntities())
    package = await catalog.put(Package(name=EntityName("ns", None, "p")))
    stored = await catalog.put(action(package="p"))
    before = await catalog.resolve(stored.name)
    await catalog.put(msgspec.structs.replace(package, parameters=(Parameter("k", 2),)))
    after = await catalog.resolve(stored.name)
    assert before is not None
    assert after is not None
    assert (before.parameters, after.parameters) == ({}, {"k": 2})
    await catalog.put(msgspec.structs.replace(stored, version="0.0.2"))
    newest = await catalog.resolve(stored.name)
    assert newest is not None
    assert newest.action.version == "0.0.2"
    assert newest.revision != after.revision
    await catalog.delete(newest.action)
    assert await catalog.resolve(stored.name) is None


async def test_a_read_that_a_write_overtook_is_not_kept() -> None:
    store = CountingEntities()
    stored = await Catalog(store).put(action())
    catalog = Catalog(store)
    store.gate.clear()
    reading = asyncio.create_task(catalog.resolve(stored.name))
    while store.reads == 0:
        await asyncio.sleep(0)
    await catalog.put(msgspec.structs.replace(stored, version="0.0.2"))
    store.gate.set()
    await reading
    fresh = await catalog.resolve(stored.name)
    assert fresh is not None
    assert fresh.action.version == "0.0.2"


async def test_what_was_written_needs_no_read_and_is_what_a_read_gives() -> None:
    store = CountingEntities()
    catalog = Catalog(store)
    await catalog.put(action())
    await catalog.put(Package(name=EntityName("ns", None, "p")))
    await catalog.put(Trigger(name=EntityName("ns", None, "t")))
    for name in (action().name, EntityName("ns", None, "p"), EntityName("ns", None, "t")):
        kept = await catalog.peek(name)
        assert store.reads == 0
        assert kept is not None
        assert kept == await Catalog(store).peek(name)
        store.reads = 0


async def test_a_write_that_another_overtook_is_not_kept() -> None:
    """Which of the two the store has done last, this catalog cannot know."""
    store = HeldWrites()
    catalog = Catalog(store)
    store.gate.clear()
    writing = asyncio.gather(catalog.put(action("a")), catalog.put(action("b")))
    await asyncio.sleep(0)
    store.gate.set()
    one, other = await writing
    await catalog.peek(one.name)
    await catalog.peek(other.name)
    assert store.reads == 1


async def test_stale_writes_are_refused() -> None:
    catalog = Catalog(MemoryEntities())
    stored = await catalog.put(action())
    await catalog.put(stored)
    with pytest.raises(Conflict, match=CONCURRENT):
        await catalog.put(stored)
    with pytest.raises(Conflict, match=CONCURRENT):
        await catalog.put(action())
    with pytest.raises(Conflict, match=CONCURRENT):
        await catalog.delete(stored)
    newest = await catalog.get(Action, stored.name)
    await catalog.delete(newest)
    with pytest.raises(NotFound):
        await catalog.delete(newest)


async def test_names_belong_to_one_collection() -> None:
    catalog = Catalog(MemoryEntities())
    await catalog.put(Trigger(name=EntityName("ns", None, "t")))
    with pytest.raises(Conflict, match=WRONG_COLLECTION):
        await catalog.resolve(EntityName("ns", None, "t"))
    with pytest.raises(Conflict, match=WRONG_COLLECTION):
        await catalog.resolve(EntityName("ns", "t", "a"))


async def test_the_cache_is_bounded_by_bytes() -> None:
    catalog = Catalog(MemoryEntities(), capacity_bytes=10_000)
    for number in range(20):
        stored = await catalog.put(action(f"a{number}", "x" * 1000))
        await catalog.resolve(stored.name)
        assert catalog.statistics()["bytes"] <= 10_000
    statistics = catalog.statistics()
    assert statistics["entities"] == statistics["resolved"] == 3
    large = await catalog.put(action("large", "x" * 20_000))
    assert await catalog.resolve(large.name) is not None
    assert catalog.warm("ns/large") is None


async def test_damaged_documents() -> None:
    store = MemoryEntities()
    broken = Document(
        id="ns/a", collection="actions", namespace="ns", path="ns", name="a", updated=1, body={"x": 1}
    )
    await store.put(broken)
    with pytest.raises(InternalError, match=CORRUPTED):
        await Catalog(store).resolve(EntityName("ns", None, "a"))


async def test_a_node_is_given_the_very_revision_or_nothing() -> None:
    catalog = Catalog(CountingEntities())
    first = await catalog.put(Action(name=EntityName("ns", None, "a"), exec=Exec("python:3.11", code="1")))
    assert catalog.known(ref_and_demand(first)[0]) is first
    second = await catalog.put(msgspec.structs.replace(first, exec=Exec("python:3.11", code="2")))
    assert catalog.known(ref_and_demand(first)[0]) is None, "it is another by now"
    assert catalog.known(ref_and_demand(second)[0]) is second
    await catalog.delete(second)
    assert catalog.known(ref_and_demand(second)[0]) is None
