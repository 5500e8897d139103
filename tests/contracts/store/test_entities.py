"""Entities: revisions, attachments, lists."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from fakes.samples import document

from upwhisk.common.errors import DocumentMissing, RevisionConflict
from upwhisk.common.spi.store import Document, DocumentStore, EntityQuery

ACTIONS = EntityQuery(namespace="guest", collection="actions")


async def test_what_was_put_is_read_with_its_revision(store: DocumentStore) -> None:
    body = {"exec": {"kind": "python:3.11", "code": "ü\n\x1e"}, "parameters": [{"key": "a", "value": [1, None]}]}
    revision = await store.entities.put(document(body=body))
    assert await store.entities.get("guest/hello") == document(body=body, revision=revision)


async def test_an_unknown_document_is_none(store: DocumentStore) -> None:
    assert await store.entities.get("guest/none") is None


async def test_creating_what_exists_is_a_conflict(store: DocumentStore) -> None:
    await store.entities.put(document())
    with pytest.raises(RevisionConflict):
        await store.entities.put(document(body={"version": "0.0.2"}))
    stored = await store.entities.get("guest/hello")
    assert stored is not None
    assert stored.body == {"version": "0.0.1"}


async def test_replacing_needs_the_stored_revision(store: DocumentStore) -> None:
    first = await store.entities.put(document())
    second = await store.entities.put(document(revision=first, body={"version": "0.0.2"}))
    assert second != first
    with pytest.raises(RevisionConflict):
        await store.entities.put(document(revision=first, body={"version": "0.0.3"}))
    stored = await store.entities.get("guest/hello")
    assert stored is not None
    assert (stored.revision, stored.body) == (second, {"version": "0.0.2"})


async def test_replacing_what_is_not_there_is_a_conflict(store: DocumentStore) -> None:
    with pytest.raises(RevisionConflict):
        await store.entities.put(document(revision="1-abc"))
    assert await store.entities.get("guest/hello") is None


async def test_of_racing_writers_one_wins(store: DocumentStore) -> None:
    async def write(number: int, revision: str | None) -> str | None:
        try:
            return await store.entities.put(document(body={"writer": number}, revision=revision))
        except RevisionConflict:
            return None

    revision = None
    for _ in range(3):
        answers = await asyncio.gather(*(write(number, revision) for number in range(8)))
        winners = [(number, answer) for number, answer in enumerate(answers) if answer is not None]
        assert len(winners) == 1
        stored = await store.entities.get("guest/hello")
        assert stored is not None
        assert (stored.body, stored.revision) == ({"writer": winners[0][0]}, winners[0][1])
        revision = winners[0][1]


async def test_delete(store: DocumentStore) -> None:
    first = await store.entities.put(document())
    second = await store.entities.put(document(revision=first))
    with pytest.raises(RevisionConflict):
        await store.entities.delete("guest/hello", first)
    await store.entities.delete("guest/hello", second)
    assert await store.entities.get("guest/hello") is None
    with pytest.raises(DocumentMissing):
        await store.entities.delete("guest/hello", second)


async def test_revisions_never_repeat(store: DocumentStore) -> None:
    seen = set()
    for _ in range(3):
        first = await store.entities.put(document())
        second = await store.entities.put(document(revision=first))
        await store.entities.delete("guest/hello", second)
        seen |= {first, second}
    assert len(seen) == 6


async def test_an_attachment_is_read_only_when_asked_for(store: DocumentStore) -> None:
    code = bytes(range(256)) * 1000
    revision = await store.entities.put(document(attachment=code))
    without = await store.entities.get("guest/hello")
    whole = await store.entities.get("guest/hello", attachment=True)
    assert without == document(revision=revision, has_attachment=True)
    assert whole == document(revision=revision, has_attachment=True, attachment=code)
    assert [d.attachment for d in await store.entities.list(ACTIONS)] == [None]


async def test_an_attachment_stays_until_it_is_replaced_or_given_up(store: DocumentStore) -> None:
    first = await store.entities.put(document(attachment=b"one"))
    second = await store.entities.put(document(revision=first, has_attachment=True))
    assert await _attachment(store) == b"one"
    third = await store.entities.put(document(revision=second, attachment=b"two"))
    assert await _attachment(store) == b"two"
    fourth = await store.entities.put(document(revision=third))
    assert await _attachment(store) is None
    await store.entities.delete("guest/hello", fourth)
    await store.entities.put(document(has_attachment=True))
    assert await _attachment(store) is None


async def test_bodies_are_not_shared_with_callers(store: DocumentStore) -> None:
    mine: dict[str, Any] = {"list": [1]}
    await store.entities.put(document(body=mine))
    mine["list"].append(2)
    read = await store.entities.get("guest/hello")
    assert read is not None
    read.body["list"].append(3)
    again = await store.entities.get("guest/hello")
    assert again is not None
    assert again.body == {"list": [1]}


@pytest.fixture
async def filled(store: DocumentStore) -> DocumentStore:
    packages = [
        document("open", collection="packages", updated=1, body={"publish": True, "binding": None}),
        document("closed", collection="packages", updated=2, body={"publish": False}),
        document("bound", collection="packages", updated=3, body={"publish": True, "binding": {"name": "x"}}),
    ]
    actions = [document(f"a{number}", updated=number) for number in range(5)]
    packaged = [document("p1", package="open", updated=10), document("p2", package="open", updated=11)]
    others = [document("a1", namespace="other", updated=20), document("t", collection="triggers", updated=21)]
    for each in (*packages, *actions, *packaged, *others):
        await store.entities.put(each)
    return store


def names(documents: list[Document]) -> list[str]:
    return [each.name for each in documents]


async def test_lists_are_newest_first_and_of_one_namespace_and_collection(filled: DocumentStore) -> None:
    assert names(await filled.entities.list(ACTIONS)) == ["p2", "p1", "a4", "a3", "a2", "a1", "a0"]
    other = EntityQuery(namespace="other", collection="actions")
    assert names(await filled.entities.list(other)) == ["a1"]


async def test_lists_of_one_package(filled: DocumentStore) -> None:
    query = EntityQuery(namespace="guest", collection="actions", path="guest/open")
    assert names(await filled.entities.list(query)) == ["p2", "p1"]
    assert await filled.entities.count(query) == 2


async def test_public_packages(filled: DocumentStore) -> None:
    query = EntityQuery(namespace="guest", collection="packages", public_only=True)
    assert names(await filled.entities.list(query)) == ["open"]
    assert await filled.entities.count(query) == 1


async def test_pages_and_counts(filled: DocumentStore) -> None:
    page = msgspec.structs.replace(ACTIONS, skip=2, limit=3)
    assert names(await filled.entities.list(page)) == ["a4", "a3", "a2"]
    assert await filled.entities.count(page) == 5
    assert await filled.entities.count(msgspec.structs.replace(ACTIONS, skip=10**30)) == 0
    assert await filled.entities.list(msgspec.structs.replace(ACTIONS, skip=10**30)) == []


async def test_an_update_moves_to_the_front(filled: DocumentStore) -> None:
    old = await filled.entities.get("guest/a2")
    assert old is not None
    await filled.entities.put(msgspec.structs.replace(old, updated=99))
    assert names(await filled.entities.list(ACTIONS))[0] == "a2"


async def _attachment(store: DocumentStore) -> bytes | None:
    found = await store.entities.get("guest/hello", attachment=True)
    assert found is not None
    return found.attachment
