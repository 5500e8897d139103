"""Records: what is stored once is found by id, by time and by name."""

from __future__ import annotations

import msgspec
import pytest
from fakes.samples import START_MS, record

from upwhisk.common.ids import new_activation_id
from upwhisk.common.model.activation import Activation, decode_record, encode_record, succeeded
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.spi.store import ActivationQuery, DocumentStore

ALL = ActivationQuery(namespace="guest")


async def settle(store: DocumentStore, *records: Activation) -> None:
    assert await store.activations.put(records) == len(records)


async def starts(store: DocumentStore, query: ActivationQuery) -> list[int]:
    return [decode_record(body).start - START_MS for body in await store.activations.list(query)]


async def test_a_record_is_read_as_it_was_written(store: DocumentStore) -> None:
    written = record(result={"text": "a\x1eb\nü\u0000", "number": 2**53 + 1}, logs=("one", "two"))
    await settle(store, written)
    assert await store.activations.get("guest", written.activation_id) == encode_record(written)
    assert await store.activations.list(ALL) == [encode_record(written)]


async def test_a_guests_own_json_is_kept_as_it_came(store: DocumentStore) -> None:
    raw = b'{\n  "a" : [ 1.0,\t2 ]\r\n}'
    written = msgspec.structs.replace(record(), response=succeeded(msgspec.Raw(raw)))
    await settle(store, written, record(start=START_MS - 1))
    found = await store.activations.list(ALL)
    assert len(found) == 2
    assert raw in found[0]


async def test_records_belong_to_their_namespace(store: DocumentStore) -> None:
    mine = record()
    await settle(store, mine)
    assert await store.activations.get("other", mine.activation_id) is None
    assert await store.activations.get("guest", new_activation_id()) is None
    assert await store.activations.list(ActivationQuery(namespace="other")) == []
    assert await store.activations.count(ActivationQuery(namespace="other")) == 0


@pytest.mark.parametrize("id", ["", "x", "Z" * 32, "../../etc"])
async def test_a_malformed_id_is_not_found(store: DocumentStore, id: str) -> None:
    assert await store.activations.get("guest", id) is None  # type: ignore[arg-type]


async def test_newest_start_first_whatever_the_order_of_writing(store: DocumentStore) -> None:
    await settle(store, *(record(start=START_MS + offset) for offset in (3, 1, 4, 0, 2)))
    assert await starts(store, ALL) == [4, 3, 2, 1, 0]


async def test_since_and_upto_are_inclusive(store: DocumentStore) -> None:
    await settle(store, *(record(start=START_MS + offset) for offset in range(6)))
    window = ActivationQuery(namespace="guest", since=START_MS + 2, upto=START_MS + 4)
    assert await starts(store, window) == [4, 3, 2]
    assert await store.activations.count(window) == 3
    huge = ActivationQuery(namespace="guest", since=-(10**30), upto=10**30)
    assert await store.activations.count(huge) == 6
    assert await starts(store, ActivationQuery(namespace="guest", since=10**30)) == []


async def test_pages_and_counts(store: DocumentStore) -> None:
    await settle(store, *(record(start=START_MS + offset) for offset in range(7)))
    page = ActivationQuery(namespace="guest", skip=2, limit=3)
    assert await starts(store, page) == [4, 3, 2]
    assert await store.activations.count(page) == 5
    assert await store.activations.count(ActivationQuery(namespace="guest", skip=9)) == 0


async def test_pages_of_equal_starts_neither_repeat_nor_leave_out(store: DocumentStore) -> None:
    written = [record(name=f"n{number % 3}") for number in range(20)]
    await settle(store, *written)
    seen: list[str] = []
    for skip in range(0, 20, 4):
        page = await store.activations.list(ActivationQuery(namespace="guest", skip=skip, limit=4))
        seen += [decode_record(body).activation_id for body in page]
    assert sorted(seen) == sorted(each.activation_id for each in written)


def annotated(name: str, **annotations: str) -> Activation:
    return record(name=name, annotations=tuple(Parameter(key, value) for key, value in annotations.items()))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("hello", {"default", "trigger"}),
        ("tools/hello", {"packaged"}),
        ("mine/hello", {"bound"}),
        ("hello/hello", set()),
        ("none", set()),
    ],
)
async def test_the_name_filter(store: DocumentStore, asked: str, expected: set[str]) -> None:
    written = {
        "default": annotated("hello", path="guest/hello"),
        "trigger": annotated("hello"),
        "packaged": annotated("hello", path="guest/tools/hello"),
        "bound": annotated("hello", path="whisk.system/tools/hello", binding="guest/mine"),
        "other": annotated("other", path="guest/other"),
    }
    await settle(store, *written.values())
    query = ActivationQuery(namespace="guest", name=asked)
    found = {decode_record(body).activation_id for body in await store.activations.list(query)}
    assert found == {written[key].activation_id for key in expected}
    assert await store.activations.count(query) == len(expected)


async def test_large_records(store: DocumentStore) -> None:
    line = "x" * 1000
    written = [record(logs=tuple([line] * 2000), start=START_MS + number) for number in range(3)]
    await settle(store, *written)
    assert await store.activations.list(ALL) == [encode_record(each) for each in reversed(written)]


async def test_statistics(store: DocumentStore) -> None:
    written = [record() for _ in range(5)]
    await settle(store, *written)
    found = await store.statistics()
    assert (found.records, found.pending) == (5, 0)
    assert found.record_bytes == sum(len(encode_record(each)) for each in written)


async def test_a_running_store_accepts_work_and_a_closed_one_says_why(store: DocumentStore) -> None:
    assert store.accepts_work() is None
    await store.aclose()
    assert store.accepts_work() == "the store is closed"
    await store.aclose()


async def test_an_id_keeps_its_first_record(store: DocumentStore) -> None:
    first, other = record(result={"n": 1}), record()
    await settle(store, first)
    second = record(first.activation_id, result={"n": 2})
    assert await store.activations.put([second, other]) == 1
    assert await store.activations.get("guest", first.activation_id) == encode_record(first)
    assert await store.activations.count(ALL) == 2
    assert await store.activations.put([]) == 0
