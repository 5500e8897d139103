"""Whether an id has a record: the bitmap is quick, the database is right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from fakes.samples import record
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.backends.store import lookup
from upwhisk.backends.store.lookup import Bitmap
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.ids import ActivationId, new_activation_id

ids = st.binary(min_size=16, max_size=16).map(lambda data: ActivationId(data.hex()))


@given(st.sets(ids, max_size=50), st.sets(ids, max_size=50))
def test_a_bitmap_never_denies_what_it_has(first: set[ActivationId], second: set[ActivationId]) -> None:
    bitmap = Bitmap()
    bitmap.add(first)
    bitmap.add_heads(int.from_bytes(bytes.fromhex(each)[:4], "big") for each in second)
    assert all(bitmap.may_have(each) for each in first | second)
    assert bitmap.added == len(first) + len(second)


def test_a_bitmap_denies_nearly_everything_else() -> None:
    bitmap = Bitmap()
    bitmap.add(new_activation_id() for _ in range(10_000))
    assert sum(bitmap.may_have(new_activation_id()) for _ in range(10_000)) < 50


async def test_no_id_is_settled_twice_while_bitmaps_come_and_go(
    make_store: Callable[..., SQLiteStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "FULL", 150)
    monkeypatch.setattr(lookup, "_CHUNK", 37)
    monkeypatch.setattr(lookup, "_SLICE", 5)
    known = []
    for _ in range(3):
        async with make_store() as store:
            for _ in range(5):
                new = [record() for _ in range(60)]
                known += new
                settled = await asyncio.gather(*(store.journal.settle(each) for each in new))
                assert all(settled)
                again = await asyncio.gather(*(store.journal.settle(each) for each in known))
                assert not any(again)
                assert (await store.statistics()).records == len(known)  # by now the database has them all
