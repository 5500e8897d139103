"""Records go by age, count and bytes, oldest first. PouchDB cannot purge: there they are deleted."""

from __future__ import annotations

import pytest
from fakes.samples import START_MS, record

from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.backends.store.retention import OVERHEAD
from upwhisk.common.model.activation import Activation, decode_record, encode_record
from upwhisk.common.settings import CouchDBSettings, RetentionSettings
from upwhisk.common.spi.store import ActivationQuery

ALL = ActivationQuery(namespace="guest")
MIB = 1024 * 1024


class StandingClock:
    """The wall clock of the sweep; waits are real."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing fails here")


def sweeping(settings: CouchDBSettings, now_ms: int = START_MS, **bounds: int) -> CouchStore:
    keep = {"max_age_s": 0, "max_records": 0, "max_mb": 0, **bounds}
    return CouchStore(settings, RetentionSettings(**keep), StandingClock(now_ms))


async def fill(settings: CouchDBSettings, records: list[Activation]) -> None:
    async with sweeping(settings) as store:
        assert await store.activations.put(records) == len(records)


async def left(store: CouchStore) -> list[int]:
    return [decode_record(body).start - START_MS for body in await store.activations.list(ALL)]


async def test_by_count(settings: CouchDBSettings) -> None:
    await fill(settings, [record(start=START_MS + number) for number in range(250)])
    async with sweeping(settings, max_records=20) as store:
        assert await store.retention.sweep() == 230
        assert await left(store) == list(range(249, 229, -1))
        assert await store.activations.count(ALL) == 20
        found = await store.statistics()
        assert found.records == 20
        assert await store.retention.sweep() == 0


async def test_by_age(settings: CouchDBSettings) -> None:
    await fill(settings, [record(start=START_MS + 1000 * number) for number in range(6)])
    async with sweeping(settings, START_MS + 63_000, max_age_s=60) as store:
        assert await store.retention.sweep() == 3
        assert await left(store) == [5000, 4000, 3000]


async def test_by_bytes(settings: CouchDBSettings) -> None:
    records = [record(start=START_MS + number, logs=("x" * 100_000,)) for number in range(30)]
    await fill(settings, records)
    each = len(encode_record(records[0])) + OVERHEAD
    async with sweeping(settings, max_mb=1) as store:
        kept = MIB // each
        assert await store.retention.sweep() == 30 - kept
        assert await left(store) == list(range(29, 29 - kept, -1))


async def test_without_bounds_all_stays(settings: CouchDBSettings) -> None:
    await fill(settings, [record(), record(logs=("x" * 300_000,))])
    async with sweeping(settings, START_MS * 2) as store:
        assert await store.retention.sweep() == 0
        assert await store.activations.count(ALL) == 2
        await store.retention.compact()


async def test_two_sweeps_at_once(settings: CouchDBSettings) -> None:
    import asyncio

    await fill(settings, [record(start=START_MS + number) for number in range(150)])
    async with sweeping(settings, max_records=10) as one, sweeping(settings, max_records=10) as two:
        await asyncio.gather(one.retention.sweep(), two.retention.sweep())
        assert await left(one) == list(range(149, 139, -1))


@pytest.mark.parametrize("size", [100, 300_000])
async def test_an_id_whose_record_has_gone_can_be_stored_again(settings: CouchDBSettings, size: int) -> None:
    """As it would be from a log that is read anew; the next sweep takes it away again."""
    old = record(logs=("x" * size,))
    await fill(settings, [old])
    async with sweeping(settings, START_MS + 61_000, max_age_s=60) as store:
        assert await store.retention.sweep() == 1
        assert await store.activations.get("guest", old.activation_id) is None
        assert await store.activations.put([old]) == 1
        assert await store.activations.get("guest", old.activation_id) == encode_record(old)
        assert await store.retention.sweep() == 1
