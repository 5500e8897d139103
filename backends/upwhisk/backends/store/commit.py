"""Group commit: everything asked for in one turn of the event loop is one append to the log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from upwhisk.backends.store.database import unavailable
from upwhisk.backends.store.ledger import Ledger, Row
from upwhisk.backends.store.oplog import OperationLog

Decide = Callable[[Any], tuple[bytes | None, Any]]
log = structlog.get_logger(__name__)

INLINE_BYTES = 256 * 1024
"""More than this is written by a thread even where nothing is synced: 10 MB of logs would hold the loop for 5 ms."""
MAX_KEPT = 10_000
GIVE_UP_S = 10.0
_BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Operation:
    """One call that waits for its commit. `finishes` the id of a settle or discard, which is tried again after a failure."""

    __slots__ = ("decide", "failed_at", "finishes", "future", "payload")

    def __init__(self, decide: Decide, payload: Any, future: asyncio.Future[Any], finishes: Any) -> None:
        self.decide = decide
        self.payload = payload
        self.future = future
        self.finishes = finishes
        self.failed_at: float | None = None


class CommitQueue:
    """`sync`: a commit survives a power cut; it is then made by a thread, one at a time, while the next gathers.

    Without `sync` the loop writes by itself. Measured, one `begin` at a time, loop's CPU and time to the answer: 11 and
    11 us when the loop writes, 28 and 54 us when a thread does (hand-over, waking, the interpreter's lock); a settle 21 and
    27 against 40 and 78 us; 16 settles a turn cost the same either way (12 to 15 us each).

    After a failed write the operations of its batch fail with `StoreUnavailable`, except settles and discards: these
    are tried again until they succeed, those of ids that were never accepted for `GIVE_UP_S`.
    """

    def __init__(self, log: OperationLog, ledger: Ledger, *, sync: bool, committed: Callable[[list[Row]], None]) -> None:
        self.failure: str | None = None
        self._operation_log = log
        self._ledger = ledger
        self._sync = sync
        self._committed = committed
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Operation] = []
        self._kept: list[Operation] = []
        self._scheduled = False
        self._in_flight = False
        self._closed = False
        self._failures = 0
        self._retry: asyncio.TimerHandle | None = None
        self._idle: asyncio.Event = asyncio.Event()
        self._idle.set()
        self._thread: ThreadPoolExecutor | None = None

    def submit(self, decide: Decide, payload: Any, finishes: Any = None) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._closed:
            future.set_exception(unavailable("it is closed"))
            return future
        self._waiting.append(Operation(decide, payload, future, finishes))
        if not self._scheduled:
            self._scheduled = True
            self._idle.clear()
            if not self._in_flight:
                self._loop.call_soon(self._flush)
        return future

    async def aclose(self, deadline_s: float) -> bool:
        """Commit what was asked for; what has to be tried again fails. False: a write is still under way."""
        self._closed = True
        try:
            async with asyncio.timeout(deadline_s):
                await self._idle.wait()
        except TimeoutError:
            log.error("the last commit did not end in time", action="store.commit", deadline_s=deadline_s)
        if self._retry is not None:
            self._retry.cancel()
        for operation in self._kept:
            _fail(operation, unavailable(self.failure or "it is closed"))
        self._kept.clear()
        if self._thread is not None:
            self._thread.shutdown(wait=False)
        return self._idle.is_set()

    # one batch: 1 decide, 2 write, 3 tell

    def _flush(self) -> None:
        self._scheduled = False
        batch, self._waiting = self._waiting, []
        self._ledger.segment = self._operation_log.segment
        frames: list[bytes] = []
        results: list[Any] = []
        try:
            for operation in batch:
                frame, result = operation.decide(operation.payload)
                if frame is not None:
                    frames.append(frame)
                results.append(result)
            data = frames[0] if len(frames) == 1 else b"".join(frames)
            if data and (self._sync or len(data) > INLINE_BYTES):
                self._hand_over(batch, results, data)
                return
            if data:
                self._operation_log.append(data, sync=False)
        except (OSError, sqlite3.Error) as error:
            self._fail_batch(batch, error)
            return
        except BaseException as error:  # ours: nobody may wait for ever because of it
            self._fail_batch(batch, error, keep=False)
            raise
        self._finish_batch(batch, results, wrote=bool(data))

    def _hand_over(self, batch: list[Operation], results: list[Any], data: bytes) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-log")
        self._in_flight = True
        job = self._thread.submit(self._operation_log.append, data, sync=self._sync)

        def written(job: ThreadFuture[None]) -> None:
            self._loop.call_soon_threadsafe(self._written, batch, results, job.exception())

        job.add_done_callback(written)

    def _written(self, batch: list[Operation], results: list[Any], error: BaseException | None) -> None:
        self._in_flight = False
        if error is None:
            self._finish_batch(batch, results, wrote=True)
        else:
            self._fail_batch(batch, error)

    def _finish_batch(self, batch: list[Operation], results: list[Any], *, wrote: bool) -> None:
        rows = self._ledger.commit()
        for operation, result in zip(batch, results, strict=True):
            if not operation.future.done():
                operation.future.set_result(result)
        if wrote:
            if self._failures:
                log.warning("the store can be written again", action="store.commit")
                self._failures, self.failure = 0, None
            self._committed(rows)
        self._next()

    def _next(self) -> None:
        if self._scheduled:
            self._loop.call_soon(self._flush)
        elif not self._in_flight:
            self._idle.set()

    # failures

    def _fail_batch(self, batch: list[Operation], error: BaseException, *, keep: bool = True) -> None:
        self._ledger.roll_back()
        self._failures += 1
        self.failure = f"writing failed ({error})"
        log.error("a commit failed", action="store.commit", operations=len(batch), error=str(error))
        now = self._loop.time()
        for operation in batch:
            if keep and operation.finishes is not None and self._may_keep(operation, now):
                self._kept.append(operation)
            else:
                _fail(operation, unavailable(self.failure))
        if self._retry is None and not self._closed:
            wait = _BACKOFF_S[min(self._failures, len(_BACKOFF_S)) - 1]
            self._retry = self._loop.call_later(wait, self._try_again)
        self._committed([])
        self._next()

    def _may_keep(self, operation: Operation, now: float) -> bool:
        if operation.failed_at is None:
            operation.failed_at = now
        if operation.finishes in self._ledger.pending:
            return True
        return len(self._kept) < MAX_KEPT and now - operation.failed_at < GIVE_UP_S

    def _try_again(self) -> None:
        """What was kept goes first; without anything kept, an empty operation finds out whether writing works."""
        self._retry = None
        if self._closed:
            return
        kept, self._kept = self._kept, []
        if not kept:
            self.submit(self._ledger.probe, None).add_done_callback(_look_away)
            return
        self._waiting[:0] = kept
        if not self._scheduled:
            self._scheduled = True
            self._idle.clear()
            if not self._in_flight:
                self._loop.call_soon(self._flush)


def _fail(operation: Operation, error: Exception) -> None:
    if not operation.future.done():
        operation.future.set_exception(error)


def _look_away(future: asyncio.Future[Any]) -> None:
    """A failed probe has been reported as the failure of its batch."""
    if not future.cancelled():
        future.exception()
