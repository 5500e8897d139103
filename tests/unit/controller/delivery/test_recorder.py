"""Records wait for company on their way to the store, unless somebody waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from fakes.fleet import Records
from fakes.samples import record

from upwhisk.backends.store.memory import MemoryStore
from upwhisk.controller.delivery.recorder import BATCH, Recorder


@pytest.fixture
async def records() -> Records:
    return Records(MemoryStore().activations)


@pytest.fixture
async def recorder(records: Records) -> AsyncIterator[Recorder]:
    async with Recorder(records) as made:
        yield made


def put(recorder: Recorder, count: int) -> None:
    for _ in range(count):
        recorder.put(record(), lambda: None)


async def stored_after(recorder: Recorder) -> float:
    """Seconds of the loop's time until nothing waits."""
    began = asyncio.get_running_loop().time()
    while len(recorder):
        await asyncio.sleep(0.001)
    return asyncio.get_running_loop().time() - began


async def test_few_gather(recorder: Recorder, records: Records) -> None:
    put(recorder, 1)
    await asyncio.sleep(0.05)
    put(recorder, 2)
    assert 0.04 < await stored_after(recorder) < 0.06
    assert [len(batch) for batch in records.puts] == [3]


async def test_who_waits_does_not_wait_for_company(recorder: Recorder) -> None:
    for _ in range(2):  # the second time nothing is left of the first
        put(recorder, 1)
        began = asyncio.get_running_loop().time()
        assert await recorder.barrier(5.0)
        assert asyncio.get_running_loop().time() - began < 0.01
        put(recorder, 1)
        assert await stored_after(recorder) > 0.09


async def test_a_whole_batch_goes_at_once(recorder: Recorder, records: Records) -> None:
    put(recorder, 1)
    await asyncio.sleep(0.01)
    put(recorder, BATCH + 9)
    assert 0.09 < await stored_after(recorder) < 0.12, "the rest gathers"
    assert [len(batch) for batch in records.puts] == [BATCH, 10]
