"""Credentials to identities."""

from __future__ import annotations

import asyncio
import base64

import pytest
from fakes.clock import ManualClock

from upwhisk.backends.store.memory_entities import MemorySubjects
from upwhisk.common.errors import NotAuthenticated
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.controller.auth import Authenticator, WatchedSubjects
from upwhisk.controller.kept import MAX_AGE_S, MAX_CACHED

UUID = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"
KEY = "k" * 64
SUBJECT = Subject("guest", (NamespaceKey("space", UUID, KEY),))


def header(login: str = f"{UUID}:{KEY}", scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(login.encode()).decode()}"


async def test_identity_and_limits() -> None:
    store = MemorySubjects()
    await store.put(SUBJECT)
    await store.put_limits("space", NamespaceLimits(max_action_memory=128))
    identity = await Authenticator(store, ManualClock()).identify(header(scheme="bAsIc"))
    assert (identity.subject, identity.namespace, identity.uuid) == ("guest", "space", UUID)
    assert identity.limits.max_action_memory == 128


async def test_cached_for_five_minutes_at_most() -> None:
    store, clock = MemorySubjects(), ManualClock()
    await store.put(SUBJECT)
    authenticator = Authenticator(store, clock)
    await authenticator.identify(header())
    await store.delete("guest")
    await clock.advance(MAX_AGE_S)
    assert (await authenticator.identify(header())).subject == "guest"
    await clock.advance(1)
    with pytest.raises(NotAuthenticated):
        await authenticator.identify(header())


async def test_changes_are_seen_at_once() -> None:
    store = MemorySubjects()
    await store.put(SUBJECT)
    authenticator = Authenticator(store, ManualClock())
    watched = WatchedSubjects(store, authenticator.forget)
    await authenticator.identify(header())
    await watched.put_limits("space", NamespaceLimits(max_action_memory=256))
    assert (await authenticator.identify(header())).limits.max_action_memory == 256
    await watched.delete_limits("space")
    assert (await authenticator.identify(header())).limits.max_action_memory is None
    await watched.delete("guest")
    with pytest.raises(NotAuthenticated):
        await authenticator.identify(header())


@pytest.mark.parametrize("name", ["guest/p", "_", ""])
async def test_a_namespace_that_could_be_taken_for_another_ones_lets_nobody_in(name: str) -> None:
    store = MemorySubjects()
    await store.put(Subject("guest", (NamespaceKey(name, UUID, KEY),)))
    with pytest.raises(NotAuthenticated):
        await Authenticator(store, ManualClock()).identify(header())


async def test_a_lookup_that_a_change_overtook_is_not_kept() -> None:
    class Slow(MemorySubjects):
        gate = asyncio.Event()

        async def limits(self, namespace: str) -> NamespaceLimits | None:
            await self.gate.wait()
            return await super().limits(namespace)

    store = Slow()
    await store.put(SUBJECT)
    authenticator = Authenticator(store, ManualClock())
    watched = WatchedSubjects(store, authenticator.forget)
    looking = asyncio.create_task(authenticator.identify(header()))
    await asyncio.sleep(0)
    await watched.delete("guest")
    store.gate.set()
    await looking
    assert authenticator.cached(header()) is None


async def test_the_cache_is_bounded() -> None:
    store = MemorySubjects()
    await store.put(SUBJECT)
    authenticator = Authenticator(store, ManualClock())
    for blanks in range(400):
        await authenticator.identify("Basic" + " " * (blanks % 300 + 1) + header().partition(" ")[2])
    assert len(authenticator._cache) <= MAX_CACHED


@pytest.mark.parametrize("key", ["k" * 63, "k" * 65, "K" * 64, "é" * 64])
async def test_wrong_keys(key: str) -> None:
    store = MemorySubjects()
    await store.put(SUBJECT)
    with pytest.raises(NotAuthenticated):
        await Authenticator(store, ManualClock()).identify(header(f"{UUID}:{key}"))
