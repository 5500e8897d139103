"""The operation log: append-only files that make accepted work and records durable before the database has them.

Measured on the event loop, one record at a time: a commit of SQLite 15 to 24 us without and 43 to 52 us with the
indices, and a checkpoint or fold would hold it for milliseconds; one `write` of a frame 2 us. So the hot path appends to this log, and a thread folds it into the database in large transactions.

A file is `MAGIC` and frames; a frame is length and CRC-32 of the payload (little-endian, 32 bits each) and the payload.
What a crash left half-written at the end of a file is ignored: nobody was told that it was accepted.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import structlog

from upwhisk.backends.store.folder import sync_folder

MAGIC = b"UWKLOG1\n"
SEGMENT_BYTES = 16 * 1024 * 1024
_HEADER = struct.Struct("<II")
_pack = _HEADER.pack
log = structlog.get_logger(__name__)


class Position(NamedTuple):
    segment: int
    offset: int


def frame(payload: bytes) -> bytes:
    return _pack(len(payload), crc32(payload)) + payload


class OperationLog:
    """The segment being written. Not thread-safe: one append at a time."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.segment = 0
        self.offset = 0
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._file: int | None = None

    @property
    def position(self) -> Position:
        return Position(self.segment, self.offset)

    @property
    def is_full(self) -> bool:
        return self.offset >= self._segment_bytes

    def begin_segment(self, number: int, *, sync: bool) -> None:
        """Go on in a new file. `OSError` leaves the log without one; the next append tries again."""
        self.close()
        self.segment, self.offset = number, 0
        path = segment_path(self._folder, number)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            _write_all(handle, MAGIC)
        except OSError:
            os.close(handle)
            path.unlink(missing_ok=True)
            raise
        self._file, self.offset = handle, len(MAGIC)
        if sync:
            sync_folder(self._folder)

    def append(self, data: bytes, *, sync: bool) -> None:
        """Add whole frames, in a new file if this one is full; with `sync` they survive a power cut.

        `OSError`: none of them was added.
        """
        if self._file is None or self.is_full:
            self.begin_segment(self.segment + 1, sync=sync)
        handle = self._file
        assert handle is not None
        try:
            written = os.write(handle, data)
            if written != len(data):
                _write_all(handle, data[written:])
            if sync:
                os.fdatasync(handle)
        except OSError:
            self._take_back(handle)
            if sync:
                self.close()  # after a failed sync nobody knows what the disk has of this file
            raise
        self.offset += len(data)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def remove_through(self, number: int) -> None:
        for segment in segments(self._folder):
            if segment <= number:
                segment_path(self._folder, segment).unlink(missing_ok=True)

    def _take_back(self, handle: int) -> None:
        try:
            os.ftruncate(handle, self.offset)
        except OSError as error:
            # A half-written frame ends what can be read of a file: go on in another.
            log.error("a log segment cannot be repaired", action="store.log", segment=self.segment, error=str(error))
            self.close()


def segment_path(folder: Path, number: int) -> Path:
    return folder / f"log-{number:010d}"


def segments(folder: Path) -> list[int]:
    """Numbers of the log's files, ascending."""
    names = (path.name.removeprefix("log-") for path in folder.glob("log-*"))
    return sorted(int(name) for name in names if name.isdecimal())


class LogDamaged(ValueError):
    """Something in the middle of a log file was changed after it was written. `at`: the offset of the first bad byte
    range."""

    def __init__(self, path: Path, at: int) -> None:
        super().__init__(
            f"the log '{path}' was changed at byte {at}, and what stands behind it is intact; to go on without"
            f" what stands behind it: truncate -s {at} '{path}'"
        )


def scan(path: Path) -> Iterator[tuple[int, bytes]]:
    """The intact frames of a file in order: the offset behind each, and its payload.

    What a crash or a power cut left half-written at the end is left out. `LogDamaged` if an intact frame stands behind
    one that is not: then something that was acknowledged is gone, and nobody should go on as if it were not.
    """
    data = path.read_bytes()
    at = len(MAGIC)
    if not data.startswith(MAGIC):
        if _frame_at(data, at) is not None:
            raise LogDamaged(path, 0)
        at = 0
    while at and (payload := _frame_at(data, at)) is not None:
        at += _HEADER.size + len(payload)
        yield at, payload
    if at != len(data):
        if at and _frame_at(data, _end_of_frame(data, at)) is not None:
            raise LogDamaged(path, at)
        log.warning("the end of a log segment is not intact and is left out", action="store.log", file=path.name, at=at)


def _frame_at(data: bytes, at: int) -> bytes | None:
    """The payload of the intact frame that begins at `at`, None if there is none."""
    if at + _HEADER.size > len(data):
        return None
    length, checksum = _HEADER.unpack_from(data, at)
    payload = data[at + _HEADER.size : at + _HEADER.size + length]
    return payload if length and len(payload) == length and crc32(payload) == checksum else None


def _end_of_frame(data: bytes, at: int) -> int:
    """Where the frame at `at` ends by its own word."""
    if at + _HEADER.size > len(data):
        return len(data)
    return at + _HEADER.size + int(_HEADER.unpack_from(data, at)[0])


def _write_all(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
