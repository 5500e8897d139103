"""One topic's batches: order, sequence numbers, deadlines, and what becomes of refused ones."""

from __future__ import annotations

import asyncio
import struct

import pytest

from upwhisk.backends.bus.kafka.outbox import BATCH_BYTES, Outbox, Parcel
from upwhisk.backends.bus.kafka.records import Identity, records_from
from upwhisk.common.errors import InternalError, Unavailable


def parcel(payload: bytes, deadline: float = 10.0) -> Parcel:
    return Parcel(payload, [], asyncio.get_running_loop().create_future(), deadline)


def filled(*payloads: bytes) -> tuple[Outbox, list[Parcel]]:
    outbox, parcels = Outbox("t"), [parcel(each) for each in payloads]
    outbox.identify(Identity(1, 0))
    for each in parcels:
        outbox.put(each)
    return outbox, parcels


def loaded(outbox: Outbox) -> tuple[list[bytes | None], tuple[int, int, int]]:
    """Payloads of the batch under way; producer, epoch and first sequence number."""
    batch = outbox.load()
    assert batch is not None
    identity: tuple[int, int, int] = struct.unpack_from(">qhi", batch.data, 43)
    return [record.value for record in records_from(batch.data, 0)[0]], identity


async def test_all_that_waits_makes_one_batch_and_the_next_counts_on() -> None:
    outbox, parcels = filled(b"a", b"b")
    assert loaded(outbox) == ([b"a", b"b"], (1, 0, 0))
    outbox.put(parcel(b"c"))
    assert loaded(outbox) == ([b"a", b"b"], (1, 0, 0)), "one batch at a time, the same on every retry"
    outbox.succeeded()
    assert [each.sent.done() for each in parcels] == [True, True]
    assert loaded(outbox) == ([b"c"], (1, 0, 2))
    outbox.succeeded()
    assert outbox.load() is None
    assert not outbox.has_work


async def test_batches_are_bounded_and_a_large_message_goes_alone() -> None:
    half = b"x" * (BATCH_BYTES // 2)
    large = b"y" * (2 * BATCH_BYTES)
    outbox, _ = filled(half, half, half, large, b"z")
    sizes = []
    while outbox.load() is not None:
        sizes.append([len(payload or b"") for payload in loaded(outbox)[0]])
        outbox.succeeded()
    assert sizes == [[len(half)] * 2, [len(half)], [len(large)], [1]]


async def test_a_batch_outlives_the_patience_of_its_senders() -> None:
    outbox, [first] = filled(b"a")
    loaded(outbox)
    outbox.put(late := parcel(b"b", deadline=20.0))
    assert outbox.expire(10.0, Unavailable("late")) == 20.0
    with pytest.raises(Unavailable, match="late"):
        await first.sent
    assert loaded(outbox) == ([b"a"], (1, 0, 0))
    outbox.succeeded()
    assert outbox.expire(20.0, Unavailable("late")) is None
    assert isinstance(late.sent.exception(), Unavailable)
    assert outbox.load() is None, "what was never under way is not sent"
    assert outbox.waiting_bytes == 0


async def test_a_refused_batch_needs_a_new_identity() -> None:
    outbox, [first] = filled(b"a")
    loaded(outbox)
    outbox.put(parcel(b"b"))
    outbox.failed(InternalError("no"))
    assert isinstance(first.sent.exception(), InternalError)
    assert outbox.identity is None
    outbox.identify(Identity(2, 0))
    assert loaded(outbox) == ([b"b"], (2, 0, 0))


async def test_a_batch_that_the_broker_forgot_comes_again_under_a_new_identity() -> None:
    outbox, [first] = filled(b"a")
    loaded(outbox)
    outbox.succeeded()
    outbox.put(parcel(b"b"))
    assert loaded(outbox) == ([b"b"], (1, 0, 1))
    outbox.identify(Identity(2, 0))
    assert loaded(outbox) == ([b"b"], (2, 0, 0))
    assert first.sent.result() is None


async def test_each_sender_gets_an_error_of_its_own() -> None:
    outbox, parcels = filled(b"a", b"b")
    outbox.refuse_all(Unavailable("closed"))
    errors = [each.sent.exception() for each in parcels]
    assert errors[0] is not errors[1]
    assert [str(error) for error in errors] == ["closed", "closed"]
