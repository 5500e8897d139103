"""A base image made of this host's own files, for where no registry is reached: an interpreter and what it needs.

It holds what the root of a process guest holds (`roots.plan_root`), copied instead of bound.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from upwhisk.invoker.containers import roots
from upwhisk.invoker.containers.elf import libraries
from upwhisk.runtimes.installation import RuntimeInstallation

CHANGES = ("ENV PATH=/usr/local/bin:/usr/bin:/bin",)
_UNUSED = frozenset({"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3"})
_EMPTY = ("proc", "sys", "dev", "tmp", "run", "etc", "var")
_BLOCK = 1 << 20


class HostBase:
    """The files of one interpreter's base. Raises `OSError` or `ValueError` when the interpreter does not run."""

    def __init__(self, installation: RuntimeInstallation) -> None:
        plan = roots.plan_root(installation, ())
        for path in (roots.PROXIES, roots.LIBRARY):
            plan.binds.pop(str(path), None)  # the Dockerfile brings them
        if installation.family == "nodejs":
            _add_shell(plan)
        self._plan = plan
        self._hidden = {os.path.realpath(folder) for folder in plan.hidden}

    def fingerprint(self) -> str:
        """Changes with the files' names, sizes and times."""
        digest = hashlib.sha256()
        for path, target in sorted(self._plan.links.items()):
            digest.update(f"link {path} {target}\n".encode())
        for path, text in sorted(self._plan.files.items()):
            digest.update(f"text {path} {text}\n".encode())
        for path, source in self._sources():
            status = os.stat(source)
            digest.update(f"file {path} {status.st_size} {status.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def write(self, target: IO[bytes]) -> None:
        """The base as a tar archive."""
        with tarfile.open(fileobj=target, mode="w", bufsize=_BLOCK) as archive:
            made: set[str] = set()
            for folder in (*_EMPTY, *self._plan.folders):
                _folder(archive, made, folder)
            for path, text in self._plan.files.items():
                _folder(archive, made, os.path.dirname(path))
                data = text.encode()
                archive.addfile(_entry(path, tarfile.REGTYPE, 0o644, len(data)), io.BytesIO(data))
            for path, source in self._sources():
                _folder(archive, made, os.path.dirname(path))
                _copy(archive, path, source)
            for path, link in self._plan.links.items():
                if not path.startswith("/dev/"):
                    _folder(archive, made, os.path.dirname(path))
                    entry = _entry(path, tarfile.SYMTYPE, 0o777, 0)
                    entry.linkname = link
                    archive.addfile(entry)

    def _sources(self) -> Iterator[tuple[str, str]]:
        """(path in the image, regular file of this host), each path once."""
        seen: set[str] = set()
        for path, source in sorted(self._plan.binds.items()):
            if path.startswith("/dev/"):
                continue
            found = self._below(path, source) if os.path.isdir(source) else ((path, source),)
            for one in found:
                if one[0] not in seen:
                    seen.add(one[0])
                    yield one

    def _below(self, path: str, source: str) -> Iterator[tuple[str, str]]:
        for folder, folders, files in os.walk(source):
            if os.path.realpath(folder) in self._hidden:
                folders.clear()
                continue
            folders[:] = sorted(f for f in folders if f not in _UNUSED and not f.startswith("config-"))
            for name in sorted(files):
                file = os.path.join(folder, name)
                if os.path.isfile(file):
                    yield path + file[len(source) :], file


def _add_shell(plan: roots.RootPlan) -> None:
    shell = Path("/bin/sh")
    program = shell.resolve()
    plan.bind(shell.parent.resolve() / "sh", program)
    for path, source in libraries([program]).items():
        plan.bind(path, source)


def _folder(archive: tarfile.TarFile, made: set[str], path: str) -> None:
    parts = path.strip("/").split("/")
    for count in range(1, len(parts) + 1):
        folder = "/".join(parts[:count])
        if folder and folder not in made:
            made.add(folder)
            archive.addfile(_entry(folder, tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755, 0))


def _copy(archive: tarfile.TarFile, path: str, source: str) -> None:
    with open(source, "rb") as stream:
        status = os.fstat(stream.fileno())
        entry = _entry(path, tarfile.REGTYPE, 0o755 if status.st_mode & stat.S_IXUSR else 0o644, status.st_size)
        entry.mtime = int(status.st_mtime)  # compiled files name their source's
        archive.addfile(entry, stream)


def _entry(path: str, kind: bytes, mode: int, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path.lstrip("/"))
    entry.type, entry.mode, entry.size = kind, mode, size
    return entry
