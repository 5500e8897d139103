"""Backup: one file of mode 0600 with everything in it, the key included. Restore: the way back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from pathlib import Path

from upwhisk.backends.store import schema
from upwhisk.backends.store.folder import DataFolder, sync_folder, write_private
from upwhisk.backends.store.oplog import segment_path, segments
from upwhisk.backends.store.sealing import KEY_BYTES
from upwhisk.common.errors import DataFolderError, FolderNotEmpty

STEP_PAGES = 2000


class BackupStopped(Exception):
    """The caller does not want the backup any more."""


def write_backup(database: Path, key: bytes, target: Path, stop: threading.Event) -> None:
    """Copy the database as it is at this moment, while others write on. Blocking: for a thread.

    `OSError` and `sqlite3.Error` leave no file behind, nor does `stop`.
    """
    part = target.with_name(target.name + ".part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        _copy(database, part, stop)
        _add_key(part, key)
        _sync(part)
        part.replace(target)
        sync_folder(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _copy(database: Path, part: Path, stop: threading.Event) -> None:
    def check(status: int, remaining: int, total: int) -> None:
        if stop.is_set():
            raise BackupStopped

    source = schema.connect(database, read_only=True)
    copy = sqlite3.connect(part, isolation_level=None)
    try:
        # The open read transaction keeps every step on one picture; without it each commit would start the copy over.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM meta").fetchone()
        source.backup(copy, pages=STEP_PAGES, progress=check, sleep=0)
    finally:
        copy.close()
        source.close()


def _add_key(part: Path, key: bytes) -> None:
    copy = sqlite3.connect(part, isolation_level=None)
    try:
        copy.execute("PRAGMA journal_mode = DELETE")
        copy.execute("INSERT OR REPLACE INTO meta VALUES('key', ?)", (key,))
    finally:
        copy.close()


def restore(source: Path, folder: Path, *, force: bool = False) -> None:
    """Make `folder` what the backup holds. Blocking. `DataFolderError`: the backup is no whole backup of a format that
    this release reads; the folder is in use, or not empty and `force` is not given (then what is in it stays)."""
    key = _check(source)
    if folder.exists() and any(folder.iterdir()) and not force:
        raise FolderNotEmpty(f"the data folder '{folder}' is not empty: restore into an empty one")
    data = DataFolder(folder)
    data.acquire()
    try:
        _replace(source, data, key)
    except OSError as error:
        raise DataFolderError(f"restoring into '{folder}' failed ({error}): mend it and restore again") from None
    finally:
        data.release()


def _check(source: Path) -> bytes:
    if not source.is_file():
        raise DataFolderError(f"there is no backup '{source}'")
    try:
        connection = schema.connect(source, read_only=True)
        try:
            schema.check_ours(connection, source)
            answer = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            found = connection.execute("SELECT value FROM meta WHERE name = 'key'").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DataFolderError(f"the backup '{source}' is damaged ({error}): use another") from None
    if answer != "ok":
        raise DataFolderError(f"the backup '{source}' is damaged ({answer}): use another")
    if found is None or len(found[0]) != KEY_BYTES:
        raise DataFolderError(f"'{source}' is no backup: it holds no key")
    return bytes(found[0])


def _replace(source: Path, data: DataFolder, key: bytes) -> None:
    data.restoring.touch(mode=0o600)
    part = data.database.with_name(data.database.name + ".part")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    shutil.copyfile(source, part)
    connection = sqlite3.connect(part, isolation_level=None)
    try:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("DELETE FROM meta WHERE name = 'key'")
    finally:
        connection.close()
    _sync(part)
    for ending in ("-wal", "-shm"):
        data.database.with_name(data.database.name + ending).unlink(missing_ok=True)
    for number in segments(data.path):
        segment_path(data.path, number).unlink()
    write_private(data.key, key)
    part.replace(data.database)
    sync_folder(data.path)
    data.restoring.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
