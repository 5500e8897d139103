"""Folds: everything arrives, in however many portions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from fakes.samples import START_MS, message, record
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.backends.store import folding
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.model.activation import encode_record
from upwhisk.common.spi.store import ActivationQuery


@given(st.lists(st.integers(0, 100_000_000), max_size=30))
def test_portions_keep_order_and_size(sizes: list[int]) -> None:
    found = list(folding.portions(sizes, lambda size: size))
    assert [size for portion in found for size in portion] == sizes
    assert all(len(portion) == 1 or sum(portion) <= folding.PORTION_BYTES for portion in found)
    assert all(found)


async def test_a_fold_in_many_portions(make_store: Callable[..., SQLiteStore], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folding, "PORTION_BYTES", 3000)
    done = [record(start=START_MS + number, result="x" * number * 100) for number in range(50)]
    works = [message(arguments={"text": "x" * number * 100}) for number in range(50)]
    async with make_store() as store:
        await store.journal.accept(works)
        for work in works[::2]:
            await store.journal.note(work.activation_id, bytes(works.index(work)))
        await asyncio.gather(*(store.journal.settle(each) for each in done))
        found = await store.statistics()
        assert (found.records, found.record_bytes) == (50, sum(len(encode_record(each)) for each in done))
    async with make_store() as store:
        assert await store.activations.list(ActivationQuery(namespace="guest")) == [
            encode_record(each) for each in reversed(done)
        ]
        entries = await store.journal.pending()
        assert [entry.message for entry in entries] == works
        assert [entry.progress for entry in entries[:4]] == [b"", None, bytes(2), None]
