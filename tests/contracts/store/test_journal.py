"""The journal: accepted work stays until it is settled, and one id has one record."""

from __future__ import annotations

import asyncio

import pytest
from fakes.samples import message, record

from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.ids import ActivationId, new_activation_id
from upwhisk.common.spi.store import ActivationQuery, ArtifactStore


async def pending_ids(store: ArtifactStore) -> list[ActivationId]:
    return [entry.message.activation_id for entry in await store.journal.pending()]


async def test_accepted_messages_are_pending_in_their_order(store: ArtifactStore) -> None:
    sent = [message(arguments={"n": number, "ü": [None, 1.5]}) for number in range(5)]
    await store.journal.accept(sent[:3])
    await store.journal.accept(sent[3:])
    found = await store.journal.pending()
    assert [entry.message for entry in found] == sent
    assert {(entry.attempt, entry.progress) for entry in found} == {(0, None)}


async def test_records_come_with_the_acceptance(store: ArtifactStore) -> None:
    fired, run = record(name="trigger"), message()
    await store.journal.accept([run], [fired])
    assert await store.activations.get("guest", fired.activation_id) is not None
    assert await pending_ids(store) == [run.activation_id]
    assert await store.journal.settle(fired) is False


async def test_begin_and_note(store: ArtifactStore) -> None:
    work = message()
    await store.journal.accept([work])
    await store.journal.begin(work.activation_id, 1)
    await store.journal.note(work.activation_id, b"step 1")
    await store.journal.note(work.activation_id, b"")
    [entry] = await store.journal.pending()
    assert (entry.attempt, entry.progress) == (1, b"")
    await store.journal.begin(work.activation_id, 2)
    [entry] = await store.journal.pending()
    assert (entry.attempt, entry.progress) == (2, b"")


async def test_unknown_ids_are_ignored(store: ArtifactStore) -> None:
    await store.journal.begin(new_activation_id(), 1)
    await store.journal.note(new_activation_id(), b"x")
    await store.journal.discard(new_activation_id())
    assert await store.journal.pending() == []


async def test_a_settled_id_is_neither_pending_nor_settled_again(store: ArtifactStore) -> None:
    work = message()
    await store.journal.accept([work])
    first, second = record(work.activation_id, result={"n": 1}), record(work.activation_id, result={"n": 2})
    assert await store.journal.settle(first) is True
    assert await store.journal.settle(second) is False
    assert await store.journal.pending() == []
    assert await store.activations.count(ActivationQuery(namespace="guest")) == 1
    body = await store.activations.get("guest", work.activation_id)
    assert body is not None
    assert b'"n":1' in body


async def test_what_was_never_journalled_is_settled_once(store: ArtifactStore) -> None:
    done = record()
    assert await store.journal.settle(done) is True
    assert await store.journal.settle(done) is False
    await store.activations.count(ActivationQuery(namespace="guest"))
    assert await store.journal.settle(done) is False


async def test_the_same_id_twice_in_one_turn(store: ArtifactStore) -> None:
    done, work = record(), message()
    answers = [
        store.journal.settle(done),
        store.journal.settle(done),
        store.journal.accept([work, work]),
        store.journal.settle(record(work.activation_id)),
        store.journal.begin(work.activation_id, 1),
        store.journal.settle(record(work.activation_id)),
        store.journal.accept([work]),
    ]
    assert await asyncio.gather(*answers) == [True, False, None, True, None, False, None]
    assert await store.journal.pending() == []
    assert await store.activations.count(ActivationQuery(namespace="guest")) == 2


async def test_accepting_again_leaves_what_is_there(store: ArtifactStore) -> None:
    work, done = message(), record()
    await store.journal.accept([work])
    await store.journal.begin(work.activation_id, 1)
    await store.journal.settle(done)
    await store.journal.accept([work, message(done.activation_id)], [done])
    [entry] = await store.journal.pending()
    assert (entry.message, entry.attempt) == (work, 1)
    assert await store.activations.count(ActivationQuery(namespace="guest")) == 1


async def test_a_discarded_message_leaves_no_record(store: ArtifactStore) -> None:
    work = message()
    await store.journal.accept([work])
    await store.journal.discard(work.activation_id)
    assert await store.journal.pending() == []
    assert await store.activations.get("guest", work.activation_id) is None


async def test_the_order_is_that_of_the_calls_not_of_the_awaits(store: ArtifactStore) -> None:
    work = message()
    accepted = store.journal.accept([work])
    begun = store.journal.begin(work.activation_id, 1)
    settled = store.journal.settle(record(work.activation_id))
    assert await settled is True
    await begun
    await accepted
    assert await store.journal.pending() == []


async def test_many_calls_of_many_tasks(store: ArtifactStore) -> None:
    async def live(number: int) -> None:
        work = message()
        await store.journal.accept([work])
        await store.journal.begin(work.activation_id, 1)
        if number % 3:
            assert await store.journal.settle(record(work.activation_id)) is True

    await asyncio.gather(*(live(number) for number in range(300)))
    assert len(await store.journal.pending()) == 100
    assert await store.activations.count(ActivationQuery(namespace="guest")) == 200


async def test_a_cancelled_caller_changes_nothing_for_others(store: ArtifactStore) -> None:
    given_up, wanted = record(), record()
    first, second = asyncio.ensure_future(store.journal.settle(given_up)), store.journal.settle(wanted)
    first.cancel()
    assert await second is True


@pytest.mark.parametrize("id", ["", "abc", "G" * 32, "A" * 32])
async def test_what_is_no_id_is_refused_at_the_call(store: ArtifactStore, id: str) -> None:
    with pytest.raises(ValueError, match="no activation id"):
        await store.journal.settle(record(ActivationId(id or "none")))
    assert await store.journal.settle(record()) is True


async def test_a_closed_store_refuses(store: ArtifactStore) -> None:
    await store.aclose()
    with pytest.raises(StoreUnavailable):
        await store.journal.settle(record())
    with pytest.raises(StoreUnavailable):
        await store.journal.accept([message()])
