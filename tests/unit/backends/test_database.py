"""The database's threads: deadlines, bounds, and a write-ahead log that does not grow for ever."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.samples import record

from upwhisk.backends.store import database, schema
from upwhisk.backends.store.database import Readers, Writer
from upwhisk.backends.store.sealing import Sealer
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.errors import RevisionConflict, StoreUnavailable
from upwhisk.common.spi.store import ActivationQuery

ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    schema.open_database(tmp_path / "upwhisk.db", durability="process").close()
    return tmp_path / "upwhisk.db"


async def test_a_read_that_takes_too_long_is_stopped_and_the_next_works(path: Path) -> None:
    readers = Readers(path, threads=1)
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"more than 0\.1 s"):
        await readers.run(lambda c: c.execute(ENDLESS).fetchone(), deadline_s=0.1)
    assert await readers.run(lambda c: c.execute("SELECT 1").fetchone()) == (1,)
    assert time.monotonic() - began < 5
    await asyncio.to_thread(readers.close)


async def test_readers_cannot_write(path: Path) -> None:
    readers = Readers(path)
    with pytest.raises(StoreUnavailable, match="readonly"):
        await readers.run(lambda c: c.execute("DELETE FROM meta"))
    await asyncio.to_thread(readers.close)


async def test_waiting_work_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "MAX_WAITING", 3)
    readers = Readers(path, threads=1)
    slow = [asyncio.ensure_future(readers.run(lambda c: c.execute(ENDLESS).fetchone(), deadline_s=0.2)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="too many reads wait"):
        await readers.run(lambda c: c.execute("SELECT 1").fetchone())
    answers = await asyncio.gather(*slow, return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreUnavailable] * 3
    await asyncio.to_thread(readers.close)


async def test_closed_threads_say_so(path: Path) -> None:
    readers, writer = Readers(path), Writer()
    await asyncio.to_thread(readers.close)
    await writer.aclose()
    with pytest.raises(StoreUnavailable, match="it is closed"):
        await readers.run(lambda c: c.execute("SELECT 1"))
    with pytest.raises(StoreUnavailable, match="it is closed"):
        await writer.run(lambda c: c.execute("SELECT 1"))


async def test_a_write_that_fails_leaves_nothing(path: Path) -> None:
    writer = Writer()
    await writer.open(lambda: schema.open_database(path, durability="process"))

    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta VALUES('half', 1)")
        raise RevisionConflict("x")

    with pytest.raises(RevisionConflict):
        await writer.run(half)
    with pytest.raises(StoreUnavailable, match="no such table"):
        await writer.run(lambda c: c.execute("INSERT INTO unknown VALUES(1)"))
    found = await writer.run(lambda c: c.execute("SELECT count(*) FROM meta WHERE name = 'half'").fetchone())
    assert found == (0,)
    await writer.aclose()


async def test_the_write_ahead_log_stays_small_under_steady_work(tmp_path: Path) -> None:
    make: Callable[[], SQLiteStore] = lambda: SQLiteStore(tmp_path / "data", segment_bytes=2_000_000)  # noqa: E731
    async with make() as store:
        largest = 0
        for part in range(60):
            await asyncio.gather(*(store.journal.settle(record(result="x" * 2000)) for _ in range(400)))
            # single ones in between keep the loop's own question open, as in real work
            await store.journal.settle(record())
            if part % 5 == 0:
                await store.activations.count(ActivationQuery(namespace="guest"))
            largest = max(largest, (tmp_path / "data" / "upwhisk.db-wal").stat().st_size)
        assert (await store.statistics()).records == 60 * 401
        assert largest < 60_000_000


def test_a_sealed_text_opens_only_in_its_place_and_with_its_key() -> None:
    sealer = Sealer(bytes(32))
    sealed = sealer.seal("secret", "here")
    assert b"secret" not in sealed
    assert sealed != sealer.seal("secret", "here")
    assert sealer.open(sealed, "here") == "secret"
    for other, place, text in (
        (sealer, "there", sealed),
        (Sealer(bytes(31) + b"1"), "here", sealed),
        (sealer, "here", sealed[:-1] + bytes([sealed[-1] ^ 1])),
    ):
        with pytest.raises(ValueError, match="another key, or damaged"):
            other.open(text, place)
