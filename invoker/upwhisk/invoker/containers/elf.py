"""Which shared libraries a program needs, read from the files themselves (`ldd` would run them)."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_INTERPRETER, _DYNAMIC, _LOAD = 3, 2, 1
_NEEDED, _STRTAB, _RPATH, _RUNPATH = 1, 5, 15, 29


@dataclass(frozen=True, slots=True)
class Elf:
    """What the dynamic linker reads of one file."""

    interpreter: str | None
    needed: tuple[str, ...]
    search: tuple[str, ...]


def read_elf(file: Path) -> Elf | None:
    """None for what is no 64-bit little-endian ELF file."""
    with file.open("rb") as stream:
        if stream.read(6) != b"\x7fELF\x02\x01":
            return None
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _parse(data)


def _parse(data: mmap.mmap) -> Elf:
    offset, size, count = struct.unpack_from("<Q", data, 32)[0], *struct.unpack_from("<HH", data, 54)
    headers = [struct.unpack_from("<IIQQQQ", data, offset + i * size) for i in range(count)]
    interpreter = None
    entries: list[tuple[int, int]] = []
    for kind, _flags, start, _address, _physical, length in headers:
        if kind == _INTERPRETER:
            interpreter = _text(data, start)
        elif kind == _DYNAMIC:
            pairs = [struct.unpack_from("<QQ", data, start + i) for i in range(0, length, 16)]
            entries = pairs[: pairs.index((0, 0))] if (0, 0) in pairs else pairs
    strings = next((value for tag, value in entries if tag == _STRTAB), 0)
    base = next((strings - a + s for k, _, s, a, _, n in headers if k == _LOAD and a <= strings < a + n), 0)
    needed = tuple(_text(data, base + value) for tag, value in entries if tag == _NEEDED)
    paths = [_text(data, base + value) for tag, value in entries if tag in (_RPATH, _RUNPATH)]
    folders = tuple(p.replace("${ORIGIN}", "$ORIGIN") for path in paths for p in path.split(":") if p)
    return Elf(interpreter, needed, folders)


def _text(data: mmap.mmap, start: int) -> str:
    return data[start : data.find(b"\0", start)].decode()


@lru_cache(maxsize=1)
def library_folders() -> tuple[Path, ...]:
    """Where this host's linker looks, in order."""
    folders = [Path("/lib64"), Path("/usr/lib64"), Path("/lib"), Path("/usr/lib")]
    for file in sorted(Path("/etc/ld.so.conf.d").glob("*.conf")):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        folders += [Path(line.strip()) for line in lines if line.strip().startswith("/")]
    return tuple(folder for folder in folders if folder.is_dir())


def libraries(files: Iterable[Path]) -> dict[Path, Path]:
    """The path at which the linker finds each library that `files` need, directly or not, and the file behind it.

    Libraries that this host lacks are left out: some extension modules name ones that nobody uses.
    """
    found: dict[Path, Path] = {}
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        elf = _read(file)
        if elf is None:
            continue
        for path in _paths(file, elf):
            if path not in found:
                found[path] = path.resolve()
                waiting.append(path)
    return found


@lru_cache(maxsize=512)
def _read(file: Path) -> Elf | None:
    try:
        return read_elf(file)
    except (OSError, struct.error, ValueError):
        return None


def _paths(file: Path, elf: Elf) -> list[Path]:
    own = [Path(folder.replace("$ORIGIN", str(file.resolve().parent))) for folder in elf.search]
    paths = [Path(elf.interpreter)] if elf.interpreter else []
    for name in elf.needed:
        candidates = (folder / name for folder in (*own, *library_folders()))
        path = next((c for c in candidates if c.is_file()), None)
        if path is not None:
            paths.append(path)
    return [path.parent.resolve() / path.name for path in paths]


def named(names: Iterable[str]) -> list[Path]:
    """The libraries of these names that this host has."""
    found = (next((f / name for f in library_folders() if (f / name).is_file()), None) for name in names)
    return [path for path in found if path is not None]
