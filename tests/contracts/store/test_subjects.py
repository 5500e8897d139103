"""Subjects, their keys, and limits."""

from __future__ import annotations

import msgspec
import pytest

from upwhisk.common.errors import DocumentMissing, RevisionConflict
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.spi.store import DocumentStore

ANNA = Subject("anna.m", (NamespaceKey("anna.m", "u-1", "k" * 64), NamespaceKey("team", "u-2", "l" * 64)))
BERT = Subject("bert.m", (NamespaceKey("team", "u-3", "m" * 64),))


async def test_a_subject_is_read_as_it_was_put(store: DocumentStore) -> None:
    await store.subjects.put(ANNA)
    assert await store.subjects.get("anna.m") == ANNA
    assert await store.subjects.get("nobody") is None


async def test_a_subject_without_namespaces(store: DocumentStore) -> None:
    await store.subjects.put(Subject("empty.m"))
    assert await store.subjects.get("empty.m") == Subject("empty.m")


async def test_the_owner_of_a_uuid(store: DocumentStore) -> None:
    await store.subjects.put(ANNA)
    await store.subjects.put(BERT)
    assert await store.subjects.by_uuid("u-2") == ANNA
    assert await store.subjects.by_uuid("u-3") == BERT
    assert await store.subjects.by_uuid("u-9") is None


async def test_blocked_subjects_are_found_too(store: DocumentStore) -> None:
    blocked = msgspec.structs.replace(BERT, blocked=True)
    await store.subjects.put(BERT)
    await store.subjects.put(blocked)
    assert await store.subjects.by_uuid("u-3") == blocked
    assert await store.subjects.by_namespace("team") == [blocked]


async def test_subjects_of_a_namespace_in_order(store: DocumentStore) -> None:
    await store.subjects.put(BERT)
    await store.subjects.put(ANNA)
    assert await store.subjects.by_namespace("team") == [ANNA, BERT]
    assert await store.subjects.by_namespace("anna.m") == [ANNA]
    assert await store.subjects.by_namespace("none") == []


async def test_a_uuid_has_one_owner(store: DocumentStore) -> None:
    await store.subjects.put(ANNA)
    thief = Subject("thief", (NamespaceKey("thief", "u-9", "n" * 64), NamespaceKey("x", "u-1", "n" * 64)))
    with pytest.raises(RevisionConflict):
        await store.subjects.put(thief)
    assert await store.subjects.get("thief") is None
    assert await store.subjects.by_uuid("u-9") is None
    assert await store.subjects.by_uuid("u-1") == ANNA


async def test_replacing_gives_up_old_keys(store: DocumentStore) -> None:
    await store.subjects.put(ANNA)
    fewer = msgspec.structs.replace(ANNA, namespaces=(NamespaceKey("anna.m", "u-1", "z" * 64),))
    await store.subjects.put(fewer)
    assert await store.subjects.get("anna.m") == fewer
    assert await store.subjects.by_uuid("u-2") is None
    await store.subjects.put(msgspec.structs.replace(BERT, namespaces=(NamespaceKey("team", "u-2", "m" * 64),)))


async def test_delete(store: DocumentStore) -> None:
    await store.subjects.put(ANNA)
    await store.subjects.delete("anna.m")
    assert await store.subjects.get("anna.m") is None
    assert await store.subjects.by_uuid("u-1") is None
    with pytest.raises(DocumentMissing):
        await store.subjects.delete("anna.m")
    await store.subjects.put(ANNA)


async def test_limits(store: DocumentStore) -> None:
    limits = NamespaceLimits(invocations_per_minute=5, allowed_kinds=("python:3",), store_activations=False)
    assert await store.subjects.limits("guest") is None
    await store.subjects.put_limits("guest", NamespaceLimits(max_action_memory=512))
    await store.subjects.put_limits("guest", limits)
    assert await store.subjects.limits("guest") == limits
    await store.subjects.delete_limits("guest")
    assert await store.subjects.limits("guest") is None
    with pytest.raises(DocumentMissing):
        await store.subjects.delete_limits("guest")
