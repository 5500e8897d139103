"""The start of a store: open the database, repeat what the log has beyond it, and begin a new log."""

from __future__ import annotations

import os
import sqlite3
from typing import NamedTuple

from upwhisk.backends.store import folding, schema, sealing
from upwhisk.backends.store.folder import DataFolder
from upwhisk.backends.store.ledger import Ledger
from upwhisk.backends.store.oplog import OperationLog, Position, scan, segment_path, segments
from upwhisk.common.errors import DataFolderError
from upwhisk.common.ids import ActivationId


class Opened(NamedTuple):
    connection: sqlite3.Connection
    key: bytes


def open_folder(data: DataFolder, ledger: Ledger, log: OperationLog, *, durability: str) -> Opened:
    """Blocking: for the writer's thread. Afterwards the database has every record, its journal all that is pending,
    and the log one empty segment. `DataFolderError` says what to do."""
    if data.restoring.exists():
        raise DataFolderError(f"a restore into '{data.path}' was interrupted: run it again with force")
    connection = schema.open_database(data.database, durability=durability)
    try:
        key = _key(data, connection)
        _recover(data, connection, ledger, log)
    except (sqlite3.Error, ValueError, IndexError) as error:
        connection.close()
        raise schema.damaged(data.database, error) from None
    except BaseException:
        connection.close()
        raise
    return Opened(connection, key)


def _key(data: DataFolder, connection: sqlite3.Connection) -> bytes:
    proof = connection.execute("SELECT value FROM meta WHERE name = 'key_proof'").fetchone()
    key = sealing.load_key(data.key, create=proof is None)
    if proof is None:
        connection.execute("INSERT INTO meta VALUES('key_proof', ?)", (sealing.proof_of(key),))
    elif proof[0] != sealing.proof_of(key):
        raise DataFolderError(
            f"the key file '{data.key}' does not belong to this data folder and the stored logins cannot be read"
            " without its own: put that back, or restore a backup (a backup holds the key)"
        )
    return key


def _recover(data: DataFolder, connection: sqlite3.Connection, ledger: Ledger, log: OperationLog) -> None:
    for row in connection.execute("SELECT id, seq, attempt, message, progress FROM journal"):
        ledger.load([(ActivationId(row[0].hex()), row[1], row[2], row[3], row[4])])
    values = dict(connection.execute("SELECT name, value FROM meta WHERE name IN ('segment', 'offset')"))
    folded = Position(values["segment"], values["offset"])
    old = segments(data.path)
    for number in old:
        for offset, payload in scan(segment_path(data.path, number)):
            ledger.replay(payload, folded=Position(number, offset) <= folded)
    last = max([folded.segment, *old])
    if old:
        _fold(connection, ledger, Position(last + 1, 0))
    log.begin_segment(last + 1, sync=True)
    log.remove_through(last)


def _fold(connection: sqlite3.Connection, ledger: Ledger, position: Position) -> None:
    rows = ledger.commit()
    entries = ledger.to_keep(position.segment)
    connection.execute("BEGIN IMMEDIATE")
    folding.apply(connection, folding.Fold(position, rows, ledger.forgotten, entries))
    connection.execute("COMMIT")
    ledger.forgotten = []
    ledger.folded(rows)
    ledger.kept(entries)


def free_bytes(path: os.PathLike[str]) -> int:
    """Free space of the disk below a path, as far as this user may use it."""
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize
