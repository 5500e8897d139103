"""Retention: records beyond age, count or bytes go, oldest first, and the disk gets its space back.

All of it runs in the writer's thread in slices of a few milliseconds, so neither the loop nor a commit waits for it.
Pending work is no record and is never removed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec
import structlog

from upwhisk.backends.store.database import Writer
from upwhisk.common.clock import Clock
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.settings import RetentionSettings

OVERHEAD = 130
"""Bytes a record takes beside its JSON, in its row and the two indices (measured: 884 bytes for one of 758)."""
SLICE_RECORDS = 256
SLICE_PAGES = 256
SPARE_PAGES = 1024
"""Free pages that stay for the next records; giving them all back would make each insert fetch them again."""
_MIB = 1024 * 1024
log = structlog.get_logger(__name__)

_WINDOW = """
SELECT json_group_array(json_array(seq, start, length(body))) FROM
    (SELECT seq, start, body FROM records ORDER BY seq LIMIT ?)
"""
_TOTALS = """
SELECT coalesce((SELECT max(seq) FROM records) - (SELECT min(seq) FROM records) + 1, 0),
       (SELECT value FROM meta WHERE name = 'record_bytes')
"""


class Oldest(msgspec.Struct, frozen=True, array_like=True):
    seq: int
    start: int
    length: int


def last_to_go(
    oldest: Sequence[Oldest], *, records: int, record_bytes: int, now_ms: int, settings: RetentionSettings
) -> int | None:
    """The last of these records, the oldest of all, that has to go; None if all may stay."""
    last = None
    for record in oldest:
        too_old = settings.max_age_s and record.start < now_ms - settings.max_age_s * 1000
        too_many = settings.max_records and records > settings.max_records
        too_large = settings.max_mb and record_bytes + records * OVERHEAD > settings.max_mb * _MIB
        if not (too_old or too_many or too_large):
            break
        last = record.seq
        records -= 1
        record_bytes -= record.length
    return last


def totals(connection: sqlite3.Connection) -> tuple[int, int]:
    """Number of records, and the bytes of their JSON."""
    records, record_bytes = connection.execute(_TOTALS).fetchone()
    return int(records), int(record_bytes)


class Retention:
    def __init__(self, writer: Writer, settings: RetentionSettings, clock: Clock) -> None:
        self._writer = writer
        self._settings = settings
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled, one sweep each interval."""
        while True:
            await self._clock.sleep(self._settings.interval_s)
            try:
                await self.sweep()
            except StoreUnavailable as error:
                log.error("retention has to wait", action="store.retention", error=str(error))

    async def sweep(self) -> int:
        """Remove what has to go and say how many records that were."""
        removed = 0
        while (count := await self._writer.run(self._remove_slice)) > 0:
            removed += count
        while await self._writer.run(give_back_slice, transaction=False):
            pass  # folds and writes that wait get their turn between two slices
        return removed

    def _remove_slice(self, connection: sqlite3.Connection) -> int:
        records, record_bytes = totals(connection)
        window = connection.execute(_WINDOW, (SLICE_RECORDS,)).fetchone()[0]
        oldest = msgspec.json.decode(window, type=list[Oldest])
        last = last_to_go(
            oldest,
            records=records,
            record_bytes=record_bytes,
            now_ms=self._clock.now_ms(),
            settings=self._settings,
        )
        if last is None:
            return 0
        gone = sum(record.length for record in oldest if record.seq <= last)
        connection.execute("UPDATE meta SET value = value - ? WHERE name = 'record_bytes'", (gone,))
        return connection.execute("DELETE FROM records WHERE seq <= ?", (last,)).rowcount


def give_back_slice(connection: sqlite3.Connection) -> bool:
    """Return some free pages to the disk; whether there are more to return."""
    free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
    spare = max(SPARE_PAGES, int(connection.execute("PRAGMA page_count").fetchone()[0]) // 10)
    if free <= spare:
        return False
    connection.executescript(f"PRAGMA incremental_vacuum({min(SLICE_PAGES, free - spare)})")
    return True
