"""What outlives the store, closed in order or not at all."""

from __future__ import annotations

from collections.abc import Callable

from fakes.samples import document, message, record

from upwhisk.common.ids import new_activation_id
from upwhisk.common.model.activation import encode_record
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.spi.store import ActivationQuery, ArtifactStore

Make = Callable[[], ArtifactStore]
SUBJECT = Subject("anna.m", (NamespaceKey("anna.m", "u-1", "k" * 64),))


async def test_everything_is_there_again(make: Make) -> None:
    done, works = record(), [message() for _ in range(3)]
    async with make() as store:
        revision = await store.entities.put(document(attachment=b"code"))
        await store.subjects.put(SUBJECT)
        await store.subjects.put_limits("guest", NamespaceLimits(fires_per_minute=1))
        await store.journal.settle(done)
        await store.journal.accept(works)
        await store.journal.begin(works[1].activation_id, 1)
        await store.journal.note(works[2].activation_id, b"half")
    async with make() as store:
        found = await store.entities.get("guest/hello", attachment=True)
        assert found == document(revision=revision, has_attachment=True, attachment=b"code")
        assert await store.subjects.by_uuid("u-1") == SUBJECT
        assert await store.subjects.limits("guest") == NamespaceLimits(fires_per_minute=1)
        assert await store.activations.get("guest", done.activation_id) == encode_record(done)
        pending = await store.journal.pending()
        assert [entry.message for entry in pending] == works
        assert [(entry.attempt, entry.progress) for entry in pending] == [(0, None), (1, None), (0, b"half")]


async def test_one_id_one_record_also_across_starts(make: Make) -> None:
    done, work = record(), message()
    async with make() as store:
        await store.journal.settle(done)
        await store.journal.accept([work])
    async with make() as store:
        assert await store.journal.settle(done) is False
        assert await store.journal.settle(record(work.activation_id)) is True
        await store.journal.accept([work])
        assert await store.journal.pending() == []
    async with make() as store:
        assert await store.journal.pending() == []
        assert await store.activations.count(ActivationQuery(namespace="guest")) == 2


async def test_the_order_of_acceptance_outlives_many_starts(make: Make) -> None:
    works = [message() for _ in range(6)]
    for first in range(0, 6, 2):
        async with make() as store:
            await store.journal.accept(works[first : first + 2])
            await store.journal.begin(works[first].activation_id, 1)
    async with make() as store:
        assert [entry.message for entry in await store.journal.pending()] == works
        await store.journal.discard(works[0].activation_id)
    async with make() as store:
        assert [entry.message for entry in await store.journal.pending()] == works[1:]


async def test_starting_and_stopping_an_empty_store(make: Make) -> None:
    for _ in range(3):
        async with make() as store:
            assert await store.activations.get("guest", new_activation_id()) is None
