"""Unpacking of archives that strangers made."""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import zipfile

MAX_FILES = 65_535
MAX_BYTES = 512 * 1024 * 1024
"""Unpacked size. The guest's scratch is usually smaller; then the disk says stop."""
_MAX_DIRECTORY = 24 * 1024 * 1024
_CHUNK = 256 * 1024
_MAX_LINK = 4096
_STORED_OR_DEFLATED = (0, 8)
_CORRUPT = (
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    LookupError,
    OverflowError,
    RuntimeError,
)
"""What `zipfile` raises beside its own `BadZipFile` for bytes that are no proper archive, and `NotImplementedError`."""


class BadArchive(Exception):
    """The archive is corrupt, hostile or too large; the text says which entry and why."""


def is_zip(data: bytes) -> bool:
    return data[:4] in (b"PK\x03\x04", b"PK\x05\x06")


def unpack_zip(data: bytes, folder: str, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
    """Unpack into the existing, empty `folder`.

    Refused with `BadArchive`: names that leave the folder or are absolute, devices and other special files, more
    than `max_files` entries or `max_bytes` of content, encrypted and corrupt entries. Links that lead out of the
    folder are left out.
    """
    import zipfile  # most actions are no archives

    _check_directory_size(data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _unpack(archive, folder, max_files, max_bytes)
    except (zipfile.BadZipFile, *_CORRUPT) as error:
        raise BadArchive(f"The archive cannot be read: {error}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BadArchive("The archive does not fit into the scratch folder.") from error
        raise BadArchive(f"The archive cannot be unpacked: {error.strerror}: {error.filename}") from error


def _check_directory_size(data: bytes) -> None:
    # The reader builds an object for every entry before anything can be counted.
    end = data.rfind(b"PK\x05\x06")
    if end >= 0 and len(data) >= end + 16 and struct.unpack_from("<L", data, end + 12)[0] > _MAX_DIRECTORY:
        raise BadArchive("The archive has too many entries.")


def _unpack(archive: zipfile.ZipFile, folder: str, max_files: int, max_bytes: int) -> None:
    entries = archive.infolist()
    if len(entries) > max_files:
        raise BadArchive(f"The archive has more than {max_files} entries.")
    links: list[tuple[str, str]] = []
    left = max_bytes
    for entry in entries:
        target = _target(folder, entry.filename)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if entry.is_dir():
            os.makedirs(target, exist_ok=True)
        elif kind == stat.S_IFLNK:
            links.append((target, _link_text(archive, entry)))
        elif kind in (0, stat.S_IFREG):
            left = _write(archive, entry, target, left)
        else:
            raise BadArchive(f"The archive was refused: '{entry.filename}' is a special file.")
    _make_links(folder, links)


def _target(folder: str, name: str) -> str:
    parts = name.split("/")
    if name.startswith("/") or "\\" in name or "\0" in name or name[1:2] == ":" or ".." in parts:
        raise BadArchive(f"The archive was refused: '{name}' leads out of its folder.")
    return os.path.join(folder, *(part for part in parts if part not in ("", ".")))


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: str, left: int) -> int:
    _check_readable(entry)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    mode = (entry.external_attr >> 16) & 0o777 or 0o644
    # Links are made last, so no entry can be written through one.
    with archive.open(entry) as source, open(target, "wb") as file:
        while chunk := source.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise BadArchive("The archive was refused: its content is too large.")
            file.write(chunk)
    os.chmod(target, mode | 0o600)
    return left


def _check_readable(entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & 1:
        raise BadArchive(f"The archive was refused: '{entry.filename}' is encrypted.")
    if entry.compress_type not in _STORED_OR_DEFLATED:
        raise BadArchive(
            f"The archive was refused: '{entry.filename}' is compressed in a way that is not supported."
        )


def _link_text(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    _check_readable(entry)
    with archive.open(entry) as source:
        text = source.read(_MAX_LINK + 1)
    if len(text) > _MAX_LINK or b"\0" in text:
        raise BadArchive(f"The archive was refused: the link '{entry.filename}' is too long.")
    return os.fsdecode(text)


def _make_links(folder: str, links: list[tuple[str, str]]) -> None:
    root = os.path.realpath(folder)
    made = []
    for target, text in links:
        link = os.path.join(root, os.path.relpath(target, folder))
        parent = os.path.dirname(link)
        if (
            os.path.lexists(link) or os.path.realpath(parent) != parent
        ):  # it would be made through another link
            continue
        os.makedirs(parent, exist_ok=True)
        os.symlink(text, link)
        made.append(link)
    # What a link leads to is known only when all of them are there.
    for link in made:
        end = os.path.realpath(link)
        if end != root and not end.startswith(root + os.sep):
            os.unlink(link)
