"""Retention: what goes, what stays, and that the disk gets its space back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from fakes.clock import ManualClock
from fakes.samples import START_MS, message, record
from fakes.until import until_async
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.backends.store.memory import MemoryStore
from upwhisk.backends.store.retention import OVERHEAD, Oldest, last_to_go
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.model.activation import decode_record
from upwhisk.common.settings import RetentionSettings
from upwhisk.common.spi.store import ActivationQuery, ArtifactStore

MakeStore = Callable[..., SQLiteStore]
GUEST = ActivationQuery(namespace="guest")
NOW = START_MS + 10_000_000


@given(
    ages_s=st.lists(st.integers(0, 5000), max_size=30),
    bounds=st.tuples(st.integers(0, 4000), st.integers(0, 40), st.integers(0, 2)),
    extra=st.integers(0, 50),
)
def test_exactly_as_many_go_as_the_bounds_ask_for(ages_s: list[int], bounds: tuple[int, int, int], extra: int) -> None:
    size = 100_000
    oldest = [Oldest(seq, NOW - age * 1000, size) for seq, age in enumerate(sorted(ages_s, reverse=True), 1)]
    settings = RetentionSettings(max_age_s=bounds[0], max_records=bounds[1], max_mb=bounds[2])
    total = len(oldest) + extra
    last = last_to_go(oldest, records=total, record_bytes=total * size, now_ms=NOW, settings=settings)
    gone = 0 if last is None else last

    def is_fine(left: int, first: Oldest | None) -> bool:
        young = not bounds[0] or first is None or first.start >= NOW - bounds[0] * 1000
        few = not bounds[1] or left <= bounds[1]
        return young and few and (not bounds[2] or left * (size + OVERHEAD) <= bounds[2] * 1024 * 1024)

    def first_after(count: int) -> Oldest | None:
        return oldest[count] if count < len(oldest) else None

    assert gone == len(oldest) or is_fine(total - gone, first_after(gone))
    assert gone == 0 or not is_fine(total - gone + 1, first_after(gone - 1))


async def settle(store: ArtifactStore, count: int, *, start: int = START_MS, size: int = 10) -> None:
    await asyncio.gather(*(store.journal.settle(record(start=start + n, result="x" * size)) for n in range(count)))


async def test_by_count_the_newest_stay(make_store: MakeStore) -> None:
    async with make_store(retention=RetentionSettings(max_age_s=0, max_mb=0, max_records=300)) as store:
        for part in range(5):
            await settle(store, 200, start=START_MS + part * 1000)
        assert await store.sweep() == 700
        left = [decode_record(body).start - START_MS for body in await store.activations.list(GUEST)]
        assert left == [*range(4199, 3999, -1), *range(3199, 3099, -1)]
        found = await store.statistics()
        assert found.records == 300
        assert found.record_bytes == sum(len(body) for body in await store.activations.list(GUEST))
        assert await store.sweep() == 0


async def test_by_age_and_pending_work_is_never_removed(make_store: MakeStore) -> None:
    clock = ManualClock(START_MS + 60_000)
    bounds = RetentionSettings(max_age_s=100, max_mb=0, interval_s=10**6)
    async with make_store(retention=bounds, clock=clock) as store:
        await store.journal.accept([message()])
        await settle(store, 50)
        await settle(store, 50, start=START_MS + 50_000)
        assert await store.sweep() == 0
        await clock.advance(60)
        assert await store.sweep() == 50
        await clock.advance(60)
        assert await store.sweep() == 50
        assert len(await store.journal.pending()) == 1
    async with make_store(retention=bounds, clock=clock) as store:
        assert len(await store.journal.pending()) == 1


async def test_by_bytes_and_the_disk_gets_its_space_back(make_store: MakeStore, tmp_path: Path) -> None:
    async with make_store(retention=RetentionSettings(max_age_s=0, max_mb=2)) as store:
        for part in range(20):
            await settle(store, 100, start=START_MS + part * 1000, size=10_000)
        before = (await store.statistics()).file_bytes
        assert await store.sweep() > 1700
        found = await store.statistics()
        assert found.record_bytes + found.records * OVERHEAD <= 2 * 1024 * 1024
        assert await store.activations.count(GUEST) == found.records > 150
    after = (tmp_path / "data" / "upwhisk.db").stat().st_size
    assert before > 20_000_000
    assert after < 8_000_000


async def test_the_store_sweeps_by_itself(make_store: MakeStore) -> None:
    clock = ManualClock()
    bounds = RetentionSettings(max_age_s=0, max_mb=0, max_records=10, interval_s=5)
    async with make_store(retention=bounds, clock=clock) as store:
        await settle(store, 100)
        assert await store.activations.count(GUEST) == 100
        await clock.advance(5)

        async def is_swept() -> bool:
            return await store.activations.count(GUEST) == 10

        await until_async(is_swept)
        await settle(store, 100, start=START_MS + 1000)
        await store.activations.count(GUEST)
        await clock.advance(5)
        await until_async(is_swept)


async def test_a_sweep_does_not_hold_the_loop(make_store: MakeStore) -> None:
    async with make_store(retention=RetentionSettings(max_age_s=0, max_mb=0, max_records=10)) as store:
        for part in range(20):
            await settle(store, 1000, start=START_MS + part * 1000, size=500)
        sweeping = asyncio.create_task(store.sweep())
        turns, busy = 0, 0.0
        while not sweeping.done():
            before = time.thread_time()  # what the loop's own thread did, whatever else the machine does
            await asyncio.sleep(0)
            busy = max(busy, time.thread_time() - before)
            turns += 1
        assert await sweeping == 19_990
        assert turns > 20
        assert busy < 0.02


async def test_the_memory_store_keeps_its_bounds(tmp_path: Path) -> None:
    async with MemoryStore(retention=RetentionSettings(max_records=10, max_age_s=0)) as store:
        await settle(store, 100)
        left = [decode_record(body).start - START_MS for body in await store.activations.list(GUEST)]
        assert left == list(range(99, 89, -1))
