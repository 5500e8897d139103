"""The embedded store: one data folder with a SQLite file and an operation log, one process, one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from upwhisk.backends.store import recovery, schema
from upwhisk.backends.store.activations import SQLiteActivations
from upwhisk.backends.store.backup import restore, write_backup
from upwhisk.backends.store.commit import CommitQueue
from upwhisk.backends.store.database import Readers, Writer, unavailable
from upwhisk.backends.store.entities import SQLiteEntities
from upwhisk.backends.store.folder import DataFolder
from upwhisk.backends.store.follower import MAX_TAIL_BYTES, Follower
from upwhisk.backends.store.inventory import SQLiteInventory
from upwhisk.backends.store.journal import LoggedJournal
from upwhisk.backends.store.ledger import Ledger
from upwhisk.backends.store.lookup import Lookup
from upwhisk.backends.store.oplog import SEGMENT_BYTES, OperationLog
from upwhisk.backends.store.retention import Retention, totals
from upwhisk.backends.store.sealing import Sealer
from upwhisk.backends.store.subjects import SQLiteSubjects
from upwhisk.common.clock import Clock, SystemClock
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.settings import RetentionSettings, StoreSettings
from upwhisk.common.spi.store import ArtifactStore, StoreStatistics, Watcher

log = structlog.get_logger(__name__)
_CLOSE_S = 10.0
_ABANDON_S = 1.0
_MIB = 1024 * 1024


class SQLiteStore(ArtifactStore):
    """How a record goes: settle -> `CommitQueue` (one append to the log for a turn of the loop, durable) -> caller;
    a little later `Follower` folds it into the database. Reads that need the database wait for the fold."""

    restore = staticmethod(restore)

    def __init__(
        self,
        folder: Path,
        store: StoreSettings = StoreSettings(),  # noqa: B008 - immutable
        retention: RetentionSettings = RetentionSettings(),  # noqa: B008 - immutable
        clock: Clock | None = None,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        self._data = DataFolder(folder)
        self._settings = store
        self._clock = clock or SystemClock()
        self._ledger = Ledger()
        self._operation_log = OperationLog(folder, segment_bytes=segment_bytes)
        self._writer = Writer()
        self._readers = Readers(self._data.database)
        self._retention = Retention(self._writer, retention, self._clock)
        self._lookup: Lookup | None = None
        self._queue: CommitQueue | None = None
        self._follower: Follower | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._key = b""
        self._closed = False
        self._low_space: str | None = None
        self._space_checked_at = float("-inf")

    async def start(self) -> None:
        """`DataFolderError` when the folder is in use, damaged, of a newer format, or not ours."""
        await asyncio.to_thread(self._data.acquire)
        try:
            key = await self._open()
        except BaseException:
            await self._writer.aclose()
            self._data.release()
            raise
        self._lookup = Lookup(schema.connect(self._data.database, read_only=True), self._readers)
        self._lookup.start(())
        self._ledger.is_recorded = self._lookup
        self._follower = Follower(self._ledger, self._operation_log, self._writer, self._lookup)
        self._queue = CommitQueue(
            self._operation_log,
            self._ledger,
            sync=self._settings.durability == "power",
            committed=self._follower.committed,
        )
        self.journal = LoggedJournal(self._ledger, self._queue)
        self.activations = SQLiteActivations(self._ledger, self._queue, self._follower, self._readers)
        self.entities = SQLiteEntities(self._writer, self._readers)
        self.subjects = SQLiteSubjects(self._writer, self._readers, Sealer(key))
        self.inventory = SQLiteInventory(self._follower, self._readers)
        self._key = key
        self._sweeper = asyncio.create_task(self._retention.run(), name="store-retention")

    async def aclose(self) -> None:
        await self._close(tidy=True)

    async def abandon(self) -> None:
        """Close at once: nothing is folded, the next start reads the log as after a kill."""
        await self._close(tidy=False)

    async def _close(self, *, tidy: bool) -> None:
        if self._closed:
            return
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._queue is not None and self._follower is not None:
            is_idle = await self._queue.aclose(_CLOSE_S if tidy else _ABANDON_S)
            if tidy:
                await self._leave_tidy(self._follower)
            await self._follower.aclose()
            if is_idle:  # else a thread is still writing to its file
                self._operation_log.close()
        if self._lookup is not None:
            await self._lookup.aclose()
        await asyncio.to_thread(self._readers.close)
        await self._writer.aclose()
        self._data.release()

    def accepts_work(self) -> str | None:
        if self._queue is None or self._follower is None or self._closed:
            return "the store is closed"
        failure = self._queue.failure or self._follower.failure
        if failure is not None:
            return failure
        if self._follower.tail_bytes > MAX_TAIL_BYTES:
            return "the database does not keep up with the records"
        now = self._clock.monotonic()
        if now - self._space_checked_at >= 1.0:
            self._space_checked_at = now
            self._low_space = self._space_finding()
        return self._low_space

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """One process, one folder: nobody else writes."""
        return lambda: None

    async def statistics(self) -> StoreStatistics:
        if self._follower is not None:
            await self._follower.barrier()
        records, record_bytes = await self._readers.run(totals)
        files = [path for path in self._data.path.glob("*") if path.name.startswith(("upwhisk.db", "log-"))]
        return StoreStatistics(
            records=records,
            record_bytes=record_bytes,
            pending=len(self._ledger.pending),
            file_bytes=sum(_size(path) for path in files),
            free_bytes=recovery.free_bytes(self._data.path),
        )

    async def backup(self, target: Path) -> None:
        """One file of mode 0600, replaced as a whole. `StoreUnavailable` when it cannot be written."""
        if self._follower is None or self._closed:
            raise unavailable("it is closed")
        await self._follower.barrier(keep_pending=True)
        stop = threading.Event()
        copying = asyncio.create_task(
            asyncio.to_thread(write_backup, self._data.database, self._key, target, stop), name="store-backup"
        )
        try:
            await asyncio.shield(copying)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.gather(copying, return_exceptions=True)
            raise
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(f"The backup '{target}' cannot be written: {error}.") from error

    async def sweep(self) -> int:
        """Apply retention now; how many records went."""
        if self._follower is not None:
            await self._follower.barrier()
        return await self._retention.sweep()

    async def _open(self) -> bytes:
        keys: list[bytes] = []

        def opener() -> sqlite3.Connection:
            opened = recovery.open_folder(
                self._data, self._ledger, self._operation_log, durability=self._settings.durability
            )
            keys.append(opened.key)
            return opened.connection

        await self._writer.open(opener)
        return keys[0]

    async def _leave_tidy(self, follower: Follower) -> None:
        """Fold all, so that the next start has no log to read; if that fails, the log says it all."""
        try:
            await follower.barrier(keep_pending=True)
            self._operation_log.close()
            self._operation_log.remove_through(self._operation_log.segment)
        except (StoreUnavailable, OSError) as error:
            log.error("the log stays for the next start", action="store.close", error=str(error))

    def _space_finding(self) -> str | None:
        with contextlib.suppress(OSError):
            free = recovery.free_bytes(self._data.path) // _MIB
            floor = self._settings.min_free_mb
            if free < floor:
                return f"the disk has {free} MB free, less than the floor of {floor} MB (store.min_free_mb)"
            return None
        return "the disk does not answer"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # a segment of the log that has just gone
