"""Backup while work goes on, and the way back."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.samples import document, message, record

from upwhisk.backends.store.memory import MemoryStore
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.errors import DataFolderError, StoreUnavailable
from upwhisk.common.ids import ActivationId
from upwhisk.common.model.identity import NamespaceKey, Subject
from upwhisk.common.settings import RetentionSettings
from upwhisk.common.spi.store import ActivationQuery

MakeStore = Callable[..., SQLiteStore]
KEEP_ALL = RetentionSettings(max_age_s=0)
GUEST = ActivationQuery(namespace="guest")
SUBJECT = Subject("anna.m", (NamespaceKey("anna.m", "u-1", "Secret0123456789" * 4),))


async def test_a_restored_folder_holds_everything(make_store: MakeStore, tmp_path: Path) -> None:
    works = [message() for _ in range(3)]
    async with make_store() as store:
        await store.entities.put(document(attachment=b"code"))
        await store.subjects.put(SUBJECT)
        await store.journal.accept(works)
        await store.journal.begin(works[0].activation_id, 1)
        await store.journal.settle(record(works[2].activation_id))
        await store.backup(tmp_path / "backup")
        await store.journal.settle(record())
    assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o600
    SQLiteStore.restore(tmp_path / "backup", tmp_path / "new")
    async with SQLiteStore(tmp_path / "new") as again:
        found = await again.entities.get("guest/hello", attachment=True)
        assert found is not None
        assert found.attachment == b"code"
        assert await again.subjects.by_uuid("u-1") == SUBJECT
        entries = await again.journal.pending()
        assert [(entry.message, entry.attempt) for entry in entries] == [(works[0], 1), (works[1], 0)]
        assert await again.activations.count(GUEST) == 1
    assert not (tmp_path / "backup.part").exists()


async def test_the_key_is_not_left_in_the_restored_database(make_store: MakeStore, tmp_path: Path) -> None:
    async with make_store() as store:
        await store.subjects.put(SUBJECT)
        await store.backup(tmp_path / "backup")
    SQLiteStore.restore(tmp_path / "backup", tmp_path / "new")
    key = (tmp_path / "new" / "store.key").read_bytes()
    assert key in (tmp_path / "backup").read_bytes()
    assert key not in (tmp_path / "new" / "upwhisk.db").read_bytes()


async def test_a_backup_under_work_has_all_that_was_answered_before(make_store: MakeStore, tmp_path: Path) -> None:
    settled: list[ActivationId] = []
    accepted: list[ActivationId] = []

    async def work(store: SQLiteStore) -> None:
        while True:
            done, waits = record(), message()
            await store.journal.settle(done)
            settled.append(done.activation_id)
            await store.journal.accept([waits])
            accepted.append(waits.activation_id)

    async with make_store(segment_bytes=100_000) as store, asyncio.TaskGroup() as group:
        for _ in range(300):
            await store.journal.settle(record())
        workers = [group.create_task(work(store)) for _ in range(4)]
        for _ in range(50):
            await asyncio.sleep(0)
        before = set(settled), set(accepted)
        await store.backup(tmp_path / "backup")
        assert len(settled) > len(before[0]), "work stood still"
        for worker in workers:
            worker.cancel()
    SQLiteStore.restore(tmp_path / "backup", tmp_path / "new")
    async with SQLiteStore(tmp_path / "new") as again:
        assert await again.activations.count(GUEST) >= 300 + len(before[0])
        for id_ in before[0]:
            assert await again.activations.get("guest", id_) is not None
        assert before[1] <= {entry.message.activation_id for entry in await again.journal.pending()}


async def test_a_target_that_cannot_be_written(make_store: MakeStore, tmp_path: Path) -> None:
    async with make_store() as store:
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            await store.backup(tmp_path / "no" / "such" / "folder")
        (tmp_path / "folder").mkdir()
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            await store.backup(tmp_path / "folder")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "folder"]


async def test_a_cancelled_backup_leaves_nothing(make_store: MakeStore, tmp_path: Path) -> None:
    async with make_store() as store:
        await store.entities.put(document(attachment=os.urandom(30_000_000)))
        task = asyncio.create_task(store.backup(tmp_path / "backup"))
        while not (tmp_path / "backup.part").exists():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [path.name for path in tmp_path.iterdir()] == ["data"]


async def test_restore_refuses_a_folder_in_use_or_not_empty(make_store: MakeStore, tmp_path: Path) -> None:
    async with make_store() as store:
        await store.journal.settle(record())
        await store.backup(tmp_path / "backup")
        await store.journal.settle(record())
        with pytest.raises(DataFolderError, match="in use by process"):
            SQLiteStore.restore(tmp_path / "backup", tmp_path / "data", force=True)
    with pytest.raises(DataFolderError, match="is not empty"):
        SQLiteStore.restore(tmp_path / "backup", tmp_path / "data")
    async with make_store() as store:
        assert await store.activations.count(GUEST) == 2
    SQLiteStore.restore(tmp_path / "backup", tmp_path / "data", force=True)
    async with make_store() as store:
        assert await store.activations.count(GUEST) == 1


async def test_restore_refuses_what_is_no_whole_backup(make_store: MakeStore, tmp_path: Path) -> None:
    backup, new = tmp_path / "backup", tmp_path / "new"
    async with make_store() as store:
        for _ in range(300):
            await store.journal.settle(record())
        await store.backup(backup)
    whole = backup.read_bytes()
    middle = len(whole) // 2
    spoilt = whole[:middle] + bytes(8192) + whole[middle + 8192 :]
    for content in (whole[:middle], spoilt, b"nonsense", b""):
        backup.write_bytes(content)
        with pytest.raises(DataFolderError, match=r"damaged|no backup|no data file"):
            SQLiteStore.restore(backup, new)
    with pytest.raises(DataFolderError, match="there is no backup"):
        SQLiteStore.restore(tmp_path / "none", new)
    with pytest.raises(DataFolderError, match="no backup: it holds no key"):
        SQLiteStore.restore(tmp_path / "data" / "upwhisk.db", new)
    assert not new.exists()


async def test_an_interrupted_restore_is_not_taken_for_a_store(make_store: MakeStore, tmp_path: Path) -> None:
    async with make_store():
        pass
    (tmp_path / "data" / "restoring").touch()
    with pytest.raises(DataFolderError, match="interrupted: run it again with force"):
        await make_store().start()


async def test_the_memory_store_can_be_copied_too(tmp_path: Path) -> None:
    work, done = message(), record()
    async with MemoryStore(retention=KEEP_ALL) as store:
        revision = await store.entities.put(document(attachment=b"code"))
        await store.subjects.put(SUBJECT)
        await store.journal.accept([work], [done])
        await store.backup(tmp_path / "backup")
    async with MemoryStore(retention=KEEP_ALL) as again:
        again.load(tmp_path / "backup")
        found = await again.entities.get("guest/hello", attachment=True)
        assert found == document(revision=revision, has_attachment=True, attachment=b"code")
        assert await again.subjects.get("anna.m") == SUBJECT
        assert [entry.message for entry in await again.journal.pending()] == [work]
        assert (await again.statistics()).records == 1
        with pytest.raises(DataFolderError):
            again.load(tmp_path / "none")
