"""From the log into the database: what one fold writes, each part with a single statement.

One statement for many rows matters: Python's sqlite3 gives the interpreter lock up and takes it back for every row it
is handed, and beside a busy event loop each taking back may wait 5 ms. So the rows travel in one JSON text and one
blob, and SQLite takes them apart.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from upwhisk.backends.store.ledger import Entry, Row
from upwhisk.backends.store.oplog import Position
from upwhisk.common.ids import ActivationId

T = TypeVar("T")

PORTION_BYTES = 32 * 1024 * 1024
_FIELD = "json_extract(r.value, '$[{}]')"
_INSERT_RECORDS = f"""
INSERT OR IGNORE INTO records(id, namespace, name, start, body)
SELECT substr(:ids, r.key * 16 + 1, 16), {_FIELD.format(0)}, {_FIELD.format(1)}, {_FIELD.format(2)},
       substr(:blobs, {_FIELD.format(3)}, {_FIELD.format(4)})
FROM json_each(:rows) r ORDER BY r.key
"""  # noqa: S608 - built from fixed texts
_UPSERT_JOURNAL = f"""
INSERT OR REPLACE INTO journal(seq, id, attempt, message, progress)
SELECT {_FIELD.format(0)}, substr(:ids, r.key * 16 + 1, 16), {_FIELD.format(1)},
       substr(:blobs, {_FIELD.format(2)}, {_FIELD.format(3)}),
       iif({_FIELD.format(5)} < 0, NULL, substr(:blobs, {_FIELD.format(4)}, {_FIELD.format(5)}))
FROM json_each(:rows) r
"""  # noqa: S608 - built from fixed texts
_FORGET = """
DELETE FROM journal WHERE id IN (SELECT substr(:ids, r.key * 16 + 1, 16) FROM json_each(:rows) r)
"""


@dataclass(frozen=True, slots=True)
class Fold:
    """`position`: everything in the log up to there is in the database once this is. `retire`: the last segment
    that is not needed afterwards."""

    position: Position
    rows: Sequence[Row] = ()
    forgotten: Sequence[ActivationId] = ()
    entries: list[Entry] = field(default_factory=list)
    retire: int = 0


def apply(connection: sqlite3.Connection, fold: Fold) -> None:
    """Inside the caller's transaction."""
    for records in portions(fold.rows, lambda row: len(row.body)):
        insert_records(connection, records)
    for entries in portions(fold.entries, lambda entry: len(entry.message) + len(entry.progress or b"")):
        _keep(connection, entries)
    if fold.forgotten:
        rows = msgspec.json.encode([0] * len(fold.forgotten)).decode()
        connection.execute(_FORGET, {"ids": _ids(fold.forgotten), "rows": rows})
    connection.execute(
        "UPDATE meta SET value = CASE name WHEN 'segment' THEN ? ELSE ? END WHERE name IN ('segment', 'offset')",
        fold.position,
    )


def portions(items: Sequence[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Cut so that one statement's blob stays far below SQLite's limit of 1,000,000,000 bytes, and memory in bounds."""
    portion: list[T] = []
    size = 0
    for item in items:
        if portion and size + size_of(item) > PORTION_BYTES:
            yield portion
            portion, size = [], 0
        portion.append(item)
        size += size_of(item)
    if portion:
        yield portion


def insert_records(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    before = connection.execute("SELECT coalesce(max(seq), 0) FROM records").fetchone()[0]
    fields, at = [], 1
    for row in rows:
        fields.append((row.namespace, row.name, row.start, at, len(row.body)))
        at += len(row.body)
    values = {
        "ids": _ids([row.id for row in rows]),
        "rows": msgspec.json.encode(fields).decode(),
        "blobs": b"".join([row.body for row in rows]),
    }
    connection.execute(_INSERT_RECORDS, values)
    connection.execute(
        "UPDATE meta SET value = value + (SELECT coalesce(sum(length(body)), 0) FROM records WHERE seq > ?)"
        " WHERE name = 'record_bytes'",
        (before,),
    )


def _keep(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    fields, blobs, at = [], [], 1
    for entry in entries:
        progress = entry.progress or b""
        behind = at + len(entry.message)
        length = -1 if entry.progress is None else len(progress)
        fields.append((entry.order, entry.attempt, at, len(entry.message), behind, length))
        blobs += [entry.message, progress]
        at = behind + len(progress)
    rows = msgspec.json.encode(fields).decode()
    values = {"ids": _ids([e.id for e in entries]), "rows": rows, "blobs": b"".join(blobs)}
    connection.execute(_UPSERT_JOURNAL, values)


def _ids(ids: Sequence[ActivationId]) -> bytes:
    return bytes.fromhex("".join(ids))
