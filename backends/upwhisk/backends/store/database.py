"""The database's threads: one that writes, a few that read; every wait has a deadline."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from upwhisk.backends.store.schema import connect
from upwhisk.common.errors import StoreUnavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

READ_DEADLINE_S = 10.0
WRITE_DEADLINE_S = 30.0
MAX_WAITING = 1000
SEPARATOR = b"\x1e"
"""Between JSON texts that SQLite joined; no JSON text holds it."""


def unavailable(error: object) -> StoreUnavailable:
    return StoreUnavailable(f"The artifact store is not available: {error}.")


class Writer:
    """The one connection that writes, in a thread of its own. Each work is one transaction."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._connection: sqlite3.Connection | None = None
        self._waiting = 0

    async def open(self, opener: Callable[[], sqlite3.Connection]) -> None:
        self._connection = await asyncio.wrap_future(self._thread.submit(opener))

    async def run(self, work: Work[T], *, transaction: bool = True) -> T:
        """`StoreUnavailable` for whatever SQLite raises, when too much waits, and when it takes too long (the work
        may then still be done)."""
        if self._connection is None:
            raise unavailable("it is closed")
        if self._waiting >= MAX_WAITING:
            raise unavailable("too many writes wait")
        self._waiting += 1
        job = self._thread.submit(self._perform, self._connection, work, transaction)
        try:
            async with asyncio.timeout(WRITE_DEADLINE_S):
                return await asyncio.shield(asyncio.wrap_future(job))
        except TimeoutError:
            raise unavailable(f"a write took more than {WRITE_DEADLINE_S:g} s") from None
        finally:
            self._waiting -= 1

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.wrap_future(self._thread.submit(_close, connection))
        self._thread.shutdown(wait=False)

    @staticmethod
    def _perform(connection: sqlite3.Connection, work: Work[T], transaction: bool) -> T:
        try:
            return _in_transaction(connection, work) if transaction else work(connection)
        except sqlite3.Error as error:
            raise unavailable(error) from error


def _in_transaction(connection: sqlite3.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite ends it by itself after some errors
            connection.execute("ROLLBACK")
        raise
    return result


def _close(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlite3.Error as error:
        log.error("the last checkpoint is left to the next start", action="store.close", error=str(error))
    finally:
        connection.close()


class Readers:
    """Threads with a read-only connection each, opened when first needed."""

    def __init__(self, path: Path, threads: int = 2) -> None:
        self._path = path
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="store-reader")
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._waiting = 0
        self._closed = False

    async def run(self, work: Work[T], *, deadline_s: float = READ_DEADLINE_S) -> T:
        """`StoreUnavailable` for whatever SQLite raises, when too much waits, and after the deadline."""
        if self._closed:
            raise unavailable("it is closed")
        if self._waiting >= MAX_WAITING:
            raise unavailable("too many reads wait")
        reading: _Reading[T] = _Reading(work)
        self._waiting += 1
        job: Future[T] = self._pool.submit(reading.perform, self._own_connection)
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            reading.interrupt()
            raise unavailable(f"a read took more than {deadline_s:g} s") from None
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._closed = True
        for connection in self._connections:
            connection.interrupt()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for connection in self._connections:
            connection.close()
        self._connections.clear()

    def _own_connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._path, read_only=True)
            connection.text_factory = bytes
            self._local.connection = connection
            self._connections.append(connection)
        return connection


class _Reading(Generic[T]):
    """One read, which another thread may interrupt while it runs, and only then."""

    def __init__(self, work: Work[T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._running: sqlite3.Connection | None = None

    def perform(self, own_connection: Callable[[], sqlite3.Connection]) -> T:
        try:
            connection = own_connection()
            with self._lock:
                self._running = connection
            try:
                return self._work(connection)
            finally:
                with self._lock:
                    self._running = None
        except sqlite3.Error as error:
            raise unavailable(error) from error

    def interrupt(self) -> None:
        with self._lock:
            if self._running is not None:
                self._running.interrupt()


def fitting(number: int) -> int:
    """The nearest number that SQLite can compare with."""
    return max(-(2**63), min(number, 2**63 - 1))


def joined(column: str, query: str) -> str:
    """A statement that answers all rows of `query` (with a column of JSON blobs) as one text: see `folding` for why."""
    return f"SELECT group_concat(CAST({column} AS TEXT), char(30)) FROM ({query})"  # noqa: S608 - fixed texts


def split(joined_texts: bytes | None) -> list[bytes]:
    return [] if joined_texts is None else joined_texts.split(SEPARATOR)
