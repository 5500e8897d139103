"""Keeps the database up with the log: when to fold, and who waits for it."""

from __future__ import annotations

import asyncio

import structlog

from upwhisk.backends.store import folding
from upwhisk.backends.store.database import Writer, unavailable
from upwhisk.backends.store.ledger import Entry, Ledger, Row
from upwhisk.backends.store.lookup import Lookup
from upwhisk.backends.store.oplog import OperationLog

log = structlog.get_logger(__name__)

FOLD_ROWS = 1000
FOLD_BYTES = 8 * 1024 * 1024
FOLD_AFTER_S = 0.2
MAX_TAIL_BYTES = 32 * 1024 * 1024
BARRIER_S = 10.0
_RETRY_S = (0.1, 0.5, 1.0, 2.0)


class Follower:
    """Folds a while after the first new record, sooner when there are many, at once when a reader waits.

    The picture of what to fold is taken only while the ledger is clean, so that nothing enters the database, and no
    segment goes, on the word of a commit that may still fail.
    """

    def __init__(self, ledger: Ledger, log: OperationLog, writer: Writer, lookup: Lookup) -> None:
        self.failure: str | None = None
        self.tail_bytes = 0
        self._ledger = ledger
        self._operation_log = log
        self._writer = writer
        self._lookup = lookup
        self._loop = asyncio.get_running_loop()
        self._rows: list[Row] = []
        self._committed_rows = 0
        self._folded_rows = 0
        self._keep_all = 0
        self._kept_all = 0
        self._wanted = False
        self._retired = log.segment - 1
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._progress = asyncio.Event()
        self._failures = 0

    def committed(self, rows: list[Row]) -> None:
        """Called after each commit (and, without rows, after a failed one)."""
        if rows:
            self._rows.extend(rows)
            self._committed_rows += len(rows)
            self.tail_bytes += sum([len(row[4]) for row in rows])
            self._lookup.add([row[0] for row in rows])
        if self._task is not None:
            return
        if self._wanted or len(self._rows) >= FOLD_ROWS or self.tail_bytes >= FOLD_BYTES or self._has_retired:
            self._start()
        elif self._timer is None and (self._rows or self._ledger.forgotten):
            self._timer = self._loop.call_later(FOLD_AFTER_S, self._start)

    async def barrier(self, *, keep_pending: bool = False) -> None:
        """Return when the database has every record committed so far; `keep_pending`: and all that is pending.

        `StoreUnavailable` when it takes longer than 10 s.
        """
        rows, kept = self._committed_rows, 0
        if keep_pending:
            self._keep_all += 1
            kept = self._keep_all
        try:
            async with asyncio.timeout(BARRIER_S):
                while self._folded_rows < rows or self._kept_all < kept:
                    self._start()
                    await self._progress.wait()
        except TimeoutError:
            raise unavailable(self.failure or "the database does not keep up") from None

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @property
    def _has_retired(self) -> bool:
        return self._operation_log.segment - 1 > self._retired

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is None:
            self._wanted = True
            if self._ledger.is_clean:
                self._wanted = False
                self._task = self._loop.create_task(self._run(self._take()), name="store-fold")

    def _take(self) -> tuple[folding.Fold, int]:
        """Always everything: the position that goes with it says that nothing before it is missing."""
        rows, self._rows = self._rows, []
        forgotten, self._ledger.forgotten = self._ledger.forgotten, []
        position = self._operation_log.position
        retire = position.segment - 1
        keeps_all = self._keep_all > self._kept_all
        entries: list[Entry] = []
        if keeps_all or self._has_retired:
            entries = self._ledger.to_keep(position.segment if keeps_all else retire)
        return folding.Fold(position, rows, forgotten, entries, retire), self._keep_all

    async def _run(self, taken: tuple[folding.Fold, int]) -> None:
        fold, keep_all = taken
        while True:
            try:
                await self._writer.run(lambda connection: folding.apply(connection, fold))
                break
            except Exception as error:  # noqa: BLE001 - logged; whatever it is, the records wait in the log
                self._note_failure(error)
                await asyncio.sleep(_RETRY_S[min(self._failures, len(_RETRY_S)) - 1])
        self._failures, self.failure = 0, None
        await self._finish(fold, keep_all)

    async def _finish(self, fold: folding.Fold, keep_all: int) -> None:
        ledger = self._ledger
        ledger.folded(fold.rows)
        ledger.kept(fold.entries)
        if self._lookup.is_full:
            self._lookup.start(ledger.tail)
        self._folded_rows += len(fold.rows)
        self.tail_bytes -= sum(len(row.body) for row in fold.rows)
        self._kept_all = keep_all
        if fold.retire > self._retired:
            self._retired = fold.retire
            try:
                await self._loop.run_in_executor(None, self._operation_log.remove_through, fold.retire)
            except OSError as error:
                log.error("a log segment stays", action="store.log", segment=fold.retire, error=str(error))
        self._task = None
        progress, self._progress = self._progress, asyncio.Event()
        progress.set()
        self.committed([])

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        self.failure = f"the database cannot be written ({error})"
        log.error("a fold failed", action="store.fold", error=str(error))
