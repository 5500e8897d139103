"""The form of the database file: tables, version, migrations, and the checks made when it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from upwhisk.common.errors import DataFolderError

FORMAT = 1
APPLICATION_ID = 0x75776B31
"""`uwk1`, in the file's header: this file is ours."""

# A record is found by id, and by namespace and time; the second index holds the name as well, so that the name filter
# reads the index alone (a name that nobody has, 1,000,000 records of one namespace: 75 to 110 ms). A third index, by name,
# made a record cost 48 us instead of 17 (16 in a commit).
# Rows are inserted in order and removed from the front only: the number of records is max(seq) - min(seq) + 1.
TABLES = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE records(
    seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, namespace TEXT NOT NULL, name TEXT NOT NULL,
    start INTEGER NOT NULL, body BLOB NOT NULL);
CREATE INDEX records_start ON records(namespace, start, name);
CREATE TABLE journal(
    seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, attempt INTEGER NOT NULL, message BLOB NOT NULL, progress BLOB);
CREATE TABLE entities(
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, collection TEXT NOT NULL, namespace TEXT NOT NULL,
    path TEXT NOT NULL, updated INTEGER NOT NULL, revision TEXT NOT NULL, public INTEGER NOT NULL, document BLOB NOT NULL);
CREATE INDEX entities_updated ON entities(namespace, collection, updated);
CREATE TABLE attachments(id TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE subjects(subject TEXT PRIMARY KEY, blocked INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE subject_keys(
    uuid TEXT PRIMARY KEY, subject TEXT NOT NULL, position INTEGER NOT NULL, namespace TEXT NOT NULL,
    secret BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX subject_keys_subject ON subject_keys(subject, position);
CREATE INDEX subject_keys_namespace ON subject_keys(namespace, subject);
CREATE TABLE namespace_limits(namespace TEXT PRIMARY KEY, limits BLOB NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES('record_bytes', 0), ('segment', 0), ('offset', 0);
"""

Migration = Callable[[sqlite3.Connection], None]
MIGRATIONS: Mapping[int, Migration] = {}
"""Format -> what makes the next one of it. Each runs inside the one transaction that also changes the version."""

_CACHE_KB = {"writer": 8000, "reader": 2000}


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False, timeout=10.0
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KB['reader' if read_only else 'writer']}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_database(path: Path, *, durability: str, migrations: Mapping[int, Migration] = MIGRATIONS) -> sqlite3.Connection:
    """Open for writing: create, migrate or refuse. `DataFolderError` says what to do."""
    try:
        return _open(path, durability, migrations)
    except sqlite3.Error as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: object) -> DataFolderError:
    return DataFolderError(
        f"the data file '{path}' is damaged ({error}): restore the newest backup into an empty folder,"
        f" or over this one with force (upwhisk admin restore BACKUP --data '{path.parent}' --force)"
    )


def _open(path: Path, durability: str, migrations: Mapping[int, Migration]) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = connect(path)
    try:
        _prepare(connection, path, durability, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(
    connection: sqlite3.Connection, path: Path, durability: str, migrations: Mapping[int, Migration]
) -> None:
    if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
    # Checkpoints run in the writer's thread, where nobody on the hot path waits for them; 16 MB between two lets
    # pages that change often be written once.
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    connection.execute("PRAGMA journal_size_limit = 33554432")
    check_ours(connection, path)
    bring_up(connection, path, migrations)
    _check_whole(connection, path)


def check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse files that are not ours, and formats of the future."""
    ours = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and not ours:
        raise DataFolderError(f"'{path}' is no data file of upwhisk: choose another folder with --data")
    version = version_of(connection)
    if version > FORMAT:
        raise DataFolderError(
            f"'{path}' has data format {version} and this release reads up to {FORMAT}: start the release that wrote"
            " it, or restore a backup made by this one"
        )


def version_of(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def bring_up(
    connection: sqlite3.Connection, path: Path, migrations: Mapping[int, Migration], target: int = FORMAT
) -> None:
    """Create the tables, or migrate an older format step by step, all in one transaction."""
    version = version_of(connection)
    if version == target:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version == 0:
            _create(connection)
            version = FORMAT
        while version < target:
            if version not in migrations:
                raise DataFolderError(f"'{path}' has data format {version}, which this release no longer migrates")
            migrations[version](connection)
            version += 1
        connection.execute(f"PRAGMA user_version = {target}")
        connection.execute("INSERT OR REPLACE INTO meta VALUES('format', ?)", (target,))
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _create(connection: sqlite3.Connection) -> None:
    for statement in TABLES.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    """Cheap signs of damage: a cut file, a missing table. Reading all of it at each start would take seconds."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    if path.stat().st_size < pages * size:
        raise damaged(path, f"it has {path.stat().st_size} bytes of {pages * size}")
    for table in ("meta", "records", "journal", "entities", "attachments", "subjects", "subject_keys"):
        connection.execute(f"SELECT max(rowid) FROM {table}" if table in _WITH_ROWID else f"SELECT * FROM {table} LIMIT 1")  # noqa: S608 - fixed names


_WITH_ROWID = frozenset({"records", "journal", "entities", "attachments"})
