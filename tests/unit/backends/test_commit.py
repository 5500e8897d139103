"""Group commit on a disk that fails and comes back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.disk import file_size_limit
from fakes.samples import message, record
from fakes.until import until

from upwhisk.backends.store import commit
from upwhisk.backends.store.oplog import OperationLog
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.spi.store import ActivationQuery

MakeStore = Callable[..., SQLiteStore]
GUEST = ActivationQuery(namespace="guest")
DURABILITIES = ("process", "power")


def log_file(folder: Path) -> Path:
    return max((folder / "data").glob("log-*"))


async def test_one_turn_is_one_append(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    appends: list[int] = []
    append = OperationLog.append

    def counting(self: OperationLog, data: bytes, *, sync: bool) -> None:
        appends.append(len(data))
        append(self, data, sync=sync)

    monkeypatch.setattr(OperationLog, "append", counting)
    async with make_store() as store:
        await asyncio.gather(*(store.journal.settle(record()) for _ in range(20)))
        assert len(appends) == 1
        await store.journal.settle(record())
        assert len(appends) == 2


async def test_power_means_synced_before_the_answer_one_at_a_time(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, syncs = 0, 0, 0
    sync = os.fdatasync

    def counting(handle: int) -> None:
        nonlocal running, most, syncs
        running += 1
        most = max(most, running)
        sync(handle)
        running -= 1
        syncs += 1

    monkeypatch.setattr(os, "fdatasync", counting)
    async with make_store(durability="power") as store:

        async def settle_and_look() -> None:
            before = syncs
            await store.journal.settle(record())
            assert syncs > before

        await asyncio.gather(*(settle_and_look() for _ in range(50)))
        assert (most, syncs) == (1, 1)
        for _ in range(5):
            await asyncio.gather(*(settle_and_look() for _ in range(10)))
        assert (most, syncs) == (1, 6)


@pytest.mark.parametrize("durability", DURABILITIES)
async def test_a_failed_commit_fails_its_batch_and_is_told(
    make_store: MakeStore, tmp_path: Path, durability: str
) -> None:
    async with make_store(durability=durability) as store:
        kept, lost = message(), message()
        await store.journal.accept([kept])
        with file_size_limit(log_file(tmp_path).stat().st_size + 10):
            accepting, beginning = store.journal.accept([lost]), store.journal.begin(kept.activation_id, 1)
            with pytest.raises(StoreUnavailable):
                await accepting
            with pytest.raises(StoreUnavailable):
                await beginning
            assert "writing failed" in (store.accepts_work() or "")
            [entry] = await store.journal.pending()
            assert (entry.message, entry.attempt) == (kept, 0)
        await until(lambda: store.accepts_work() is None)
        await store.journal.accept([lost])
        assert len(await store.journal.pending()) == 2


@pytest.mark.parametrize("durability", DURABILITIES)
async def test_accepted_work_settles_as_soon_as_the_disk_is_back(
    make_store: MakeStore, tmp_path: Path, durability: str
) -> None:
    async with make_store(durability=durability) as store:
        works = [message() for _ in range(5)]
        await store.journal.accept(works)
        with file_size_limit(log_file(tmp_path).stat().st_size + 10):
            settling = [asyncio.ensure_future(store.journal.settle(record(w.activation_id))) for w in works]
            extra = asyncio.ensure_future(store.journal.settle(record()))
            dropping = store.journal.discard(works[0].activation_id)
            await until(lambda: store.accepts_work() is not None)
            assert not any(task.done() for task in settling)
            assert len(await store.journal.pending()) == 5
            assert await store.activations.get("guest", works[0].activation_id) is None
        assert await asyncio.wait_for(asyncio.gather(*settling, extra), 10) == [True] * 6
        await dropping
        assert store.accepts_work() is None
        assert await store.journal.pending() == []
        assert await store.activations.count(GUEST) == 6
    async with make_store() as store:
        assert await store.journal.pending() == []
        assert await store.activations.count(GUEST) == 6


async def test_what_was_never_accepted_is_given_up_after_a_while(
    make_store: MakeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit, "GIVE_UP_S", 0.2)
    async with make_store() as store:
        work = message()
        await store.journal.accept([work])
        with file_size_limit(log_file(tmp_path).stat().st_size + 10):
            accepted = asyncio.ensure_future(store.journal.settle(record(work.activation_id)))
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(store.journal.settle(record()), 10)
            assert not accepted.done()
        assert await asyncio.wait_for(accepted, 10) is True


async def test_an_error_of_ours_fails_its_batch_and_no_other(make_store: MakeStore) -> None:
    async with make_store() as store:
        queue = store._queue
        assert queue is not None
        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

        def broken(_: object) -> tuple[bytes | None, None]:
            raise KeyError("bug")

        settling = store.journal.settle(record())
        with pytest.raises(StoreUnavailable):
            await queue.submit(broken, None)
        with pytest.raises(StoreUnavailable):
            await settling
        assert [type(each) for each in reported] == [KeyError]
        assert await store.journal.settle(record()) is True


async def test_what_waits_for_the_disk_fails_when_the_store_closes(make_store: MakeStore, tmp_path: Path) -> None:
    store = make_store()
    await store.start()
    work = message()
    await store.journal.accept([work])
    with file_size_limit(log_file(tmp_path).stat().st_size + 10):
        settling = asyncio.ensure_future(store.journal.settle(record(work.activation_id)))
        await until(lambda: store.accepts_work() is not None)
        await store.abandon()
        with pytest.raises(StoreUnavailable):
            await settling
    async with make_store() as again:
        assert [entry.message for entry in await again.journal.pending()] == [work]


async def test_a_database_that_cannot_be_written_refuses_work_and_loses_none(
    make_store: MakeStore, tmp_path: Path
) -> None:
    async with make_store() as store:
        database_size = (tmp_path / "data" / "upwhisk.db-wal").stat().st_size
        with file_size_limit(database_size + 10_000):
            done = [record() for _ in range(20)]
            # the log has room for some of them, the database for none
            for each in done[:5]:
                await store.journal.settle(each)
            await until(lambda: "database cannot be written" in (store.accepts_work() or ""))
            assert await store.activations.get("guest", done[0].activation_id) is not None
        assert await store.activations.count(GUEST) == 5
        assert store.accepts_work() is None


async def test_a_large_commit_is_written_by_a_thread_and_keeps_the_order(make_store: MakeStore) -> None:
    async with make_store() as store:
        large = message(arguments={"data": "x" * 1_000_000})
        accepting = store.journal.accept([large])
        await asyncio.sleep(0)
        begun = store.journal.begin(large.activation_id, 1)
        settled = store.journal.settle(record(large.activation_id))
        assert await settled is True
        await begun
        await accepting
        assert await store.journal.pending() == []


async def test_the_floor_of_free_space_stops_new_work_only(make_store: MakeStore) -> None:
    async with make_store(min_free_mb=10**9) as store:
        assert "less than the floor of 1000000000 MB (store.min_free_mb)" in (store.accepts_work() or "")
        assert await store.journal.settle(record()) is True


async def test_segments_go_when_the_database_has_what_is_in_them(make_store: MakeStore, tmp_path: Path) -> None:
    async with make_store(segment_bytes=20_000) as store:
        waiting = message()
        await store.journal.accept([waiting])
        await store.journal.begin(waiting.activation_id, 1)
        for _ in range(300):
            await store.journal.settle(record())
        await store.activations.count(GUEST)
        await until(lambda: len(list((tmp_path / "data").glob("log-*"))) == 1)
        await store.abandon()
    async with make_store() as store:
        [entry] = await store.journal.pending()
        assert (entry.message, entry.attempt) == (waiting, 1)
        assert await store.activations.count(GUEST) == 300


async def test_the_log_is_gone_after_an_orderly_stop(make_store: MakeStore, tmp_path: Path) -> None:
    async with make_store() as store:
        await store.journal.accept([message()])
        await store.journal.settle(record())
    assert list((tmp_path / "data").glob("log-*")) == []
    assert not (tmp_path / "data" / "upwhisk.db-wal").exists()
