"""The data folder: who may read it, who has it open, and where its parts lie."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from upwhisk.common.errors import DataFolderError


class DataFolder:
    """Mode 0700, its files 0600. `acquire` makes it this process's own until `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "upwhisk.db"
        self.key = path / "store.key"
        self.restoring = path / "restoring"
        """There while a restore is under way."""
        self._lock: int | None = None

    def acquire(self) -> None:
        """Create the folder if need be and lock it. `DataFolderError` names the process that has it."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self._lock = self._take_lock()
        except OSError as error:
            raise DataFolderError(
                f"the data folder '{self.path}' cannot be used ({error.strerror}): give it to this user,"
                " or choose another with --data"
            ) from None

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self) -> int:
        # flock goes with the process, however it dies, so a lock is never stale.
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            raise DataFolderError(
                f"the data folder '{self.path}' is in use by process {owner}: stop it first,"
                " or choose another folder with --data"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        return handle


def write_private(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 that is there as a whole or not at all, also after a power cut."""
    part = path.with_name(path.name + ".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make names created, renamed or removed in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
