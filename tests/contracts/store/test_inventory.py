"""All that a store holds, whatever its namespaces, page by page."""

from __future__ import annotations

import random

import pytest
from fakes.migrants import everything
from fakes.samples import START_MS, document, record

from upwhisk.backends.store import couchdb_inventory, inventory
from upwhisk.common.ids import new_activation_id
from upwhisk.common.model.activation import decode_record, encode_record
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.spi.store import DocumentStore


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (inventory, couchdb_inventory):
        monkeypatch.setattr(module, "PAGE_NAMES", 3)
        monkeypatch.setattr(module, "PAGE_RECORDS", 4)


async def test_nothing(store: DocumentStore) -> None:
    assert await everything(store.inventory.entities) == []
    assert await everything(store.inventory.subjects) == []
    assert await everything(store.inventory.limits) == []
    assert await everything(store.inventory.records) == []
    assert await store.inventory.stored([]) == []


@pytest.mark.parametrize("count", [1, 3, 4, 10])
async def test_entities_of_all_namespaces_and_collections(store: DocumentStore, count: int) -> None:
    names = [f"n{number}" for number in range(count)]
    for name in names:
        await store.entities.put(document(name, namespace="other"))
    await store.entities.put(document("pkg", collection="packages", body={"publish": True}))
    await store.entities.put(document("inner", package="pkg", attachment=b"x" * 100_000))
    await store.entities.put(document("t", namespace="_odd", collection="triggers"))
    expected = [*(f"other/{name}" for name in names), "guest/pkg", "guest/pkg/inner", "_odd/t"]
    found = await everything(store.inventory.entities)
    assert sorted(found) == sorted(expected)
    assert None not in [await store.entities.get(name) for name in found]


async def test_names_of_subjects_and_of_namespaces_with_limits(store: DocumentStore) -> None:
    names = ["anna.m", "bert.m", "empty.m", "guest", "_odd", "zoe@example.org", "zz"]
    for number, name in enumerate(names):
        await store.subjects.put(Subject(name, (NamespaceKey(name, f"u-{number}", "k" * 64),), blocked=number % 2 == 0))
        if number != 2:
            await store.subjects.put_limits(name, NamespaceLimits(fires_per_minute=number))
    await store.subjects.put_limits("nobody", NamespaceLimits(max_action_memory=1))
    assert sorted(await everything(store.inventory.subjects)) == sorted(names)
    assert sorted(await everything(store.inventory.limits)) == sorted({*names, "nobody"} - {"empty.m"})


@pytest.mark.parametrize("count", [1, 4, 5, 21])
async def test_records_of_all_namespaces_oldest_first(store: DocumentStore, count: int) -> None:
    records = [record(namespace=f"n{n % 3}", start=START_MS + n // 6) for n in range(count)]
    for each in records:
        await store.activations.put([each])
    found = await everything(store.inventory.records)
    assert sorted(found) == sorted(encode_record(each) for each in records)
    starts = [decode_record(body).start for body in found]
    assert starts == sorted(starts)


async def test_records_since(store: DocumentStore) -> None:
    records = [record(start=START_MS + n) for n in range(12)]
    await store.activations.put(records)
    found = await everything(lambda after: store.inventory.records(after, since=START_MS + 5))
    assert sorted(found) == sorted(encode_record(each) for each in records[5:])


async def test_a_page_is_bounded_in_bytes(store: DocumentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (inventory, couchdb_inventory):
        monkeypatch.setattr(module, "PAGE_BYTES", 1000)
    records = [record(logs=("x" * random.randrange(300_000),), start=START_MS + n % 2) for n in range(9)]
    await store.activations.put(records)
    found = await everything(store.inventory.records)
    assert sorted(found) == sorted(encode_record(each) for each in records)


async def test_which_of_these_records_are_stored(store: DocumentStore) -> None:
    first, large = record(result={"n": 2**60}), record(namespace="_odd", logs=("x" * 400_000,))
    await store.activations.put([first, large])
    keys = [
        ("guest", new_activation_id()),
        ("_odd", large.activation_id),
        ("other", first.activation_id),
        ("guest", first.activation_id),
    ]
    assert await store.inventory.stored(keys) == [None, encode_record(large), None, encode_record(first)]
