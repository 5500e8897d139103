"""Which interpreters this node has: every CPython from 3.10 on, every Node from 20 on.

A candidate is run once to see what it is; what was seen is remembered by path, time and size of the file, so that a
start with a warm cache runs nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OLDEST_PYTHON = (3, 10)
OLDEST_NODE = 20
_NEWEST_MINOR = 19
_PROBE_TIMEOUT_S = 15.0
"""Long, for a program of 100 MB that comes from a slow disk for the first time."""
_PROBES_AT_ONCE = 4
_CACHE_VERSION = 1
_NO_ANSWER = object()
_OLD = re.compile(r"/python(2(\.\d+)?|3\.\d)$")
_PYTHON_PROBE = (
    "import os, sys;"
    "print(sys.implementation.name, sys.version_info[0], sys.version_info[1], sys.abiflags or '-',"
    " os.path.realpath(getattr(sys, '_base_executable', None) or sys.executable), sep='\\n')"
)


@dataclass(frozen=True, slots=True)
class Interpreters:
    """The real files of the interpreters: Python by (major, minor), Node by major version."""

    pythons: Mapping[tuple[int, int], Path] = field(default_factory=dict)
    nodes: Mapping[int, Path] = field(default_factory=dict)


def discover(cache: Path | None = None, environment: Mapping[str, str] | None = None) -> Interpreters:
    """Look at all usual places; the first of several with the same version counts, this process's own before all.

    `cache`: a file to remember in, written when something new was seen. An unreadable one is made anew. Takes as
    long as the slowest interpreter, at most some seconds; with a warm cache a few milliseconds.
    """
    environ = os.environ if environment is None else environment
    files = _real_files([*_python_candidates(environ), *_node_candidates(environ)])
    seen = _Seen(cache)
    seen.probe(files)
    pythons: dict[tuple[int, int], Path] = {}
    nodes: dict[int, Path] = {}
    for file in files:
        match seen.result(file):
            case ["python", int(major), int(minor), str(path)] if (major, minor) >= OLDEST_PYTHON:
                pythons.setdefault((major, minor), Path(path))
            case ["node", int(major), str(path)] if major >= OLDEST_NODE:
                nodes.setdefault(major, Path(path))
    return Interpreters(pythons, nodes)


def _python_candidates(environ: Mapping[str, str]) -> Iterator[str]:
    names = ["python3", *(f"python3.{minor}" for minor in range(OLDEST_PYTHON[1], _NEWEST_MINOR + 1))]
    own = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    yield os.path.join(sys.base_prefix, "bin", own)
    folders = [*environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    folders += _bins(environ.get("PYENV_ROOT") or _home(environ, ".pyenv"), "versions")
    folders += _bins(environ.get("UV_PYTHON_INSTALL_DIR") or _home(environ, ".local/share/uv/python"))
    yield from (os.path.join(folder, name) for folder in folders if folder for name in names)


def _node_candidates(environ: Mapping[str, str]) -> Iterator[str]:
    folders = [*environ.get("PATH", "").split(os.pathsep), "/usr/bin", "/usr/local/bin"]
    folders += _bins(environ.get("NVM_DIR") or _home(environ, ".nvm"), "versions/node")
    yield from (os.path.join(folder, "node") for folder in folders if folder)


def _home(environ: Mapping[str, str], below: str) -> str:
    home = environ.get("HOME") or os.path.expanduser("~")
    return os.path.join(home, below)


def _bins(root: str, below: str = "") -> list[str]:
    folder = os.path.join(root, below)
    try:
        versions = sorted(os.listdir(folder), reverse=True)
    except OSError:
        return []
    return [os.path.join(folder, version, "bin") for version in versions]


def _real_files(files: Iterable[str]) -> list[str]:
    """Links resolved, each file once, in order. What is no file, not ours to run, or says that it is too old, is
    dropped."""
    found = {os.path.realpath(file): None for file in dict.fromkeys(files) if os.access(file, os.X_OK)}
    return [file for file in found if os.path.isfile(file) and _OLD.search(file) is None]


class _Seen:
    """What is known of files, remembered between starts."""

    def __init__(self, cache: Path | None) -> None:
        self._cache = cache
        self._entries = _read_cache(cache)
        self._known: dict[str, Any] = {}

    def result(self, file: str) -> Any:
        return self._known.get(file)

    def probe(self, files: list[str]) -> None:
        """Learn what `files` are, running those that are new or changed, several at once."""
        stamps = {file: _stamp(file) for file in files}
        fresh = [file for file in files if not self._is_known(file, stamps[file])]
        results = _probe_all(fresh)
        for file in files:
            if results.get(file) is _NO_ANSWER:  # not remembered: the next start asks again
                self._entries.pop(file, None)
                continue
            result = results[file] if file in results else self._entries[file]["result"]
            self._known[file] = result
            self._entries[file] = {"stamp": stamps[file], "result": result}
        if fresh:
            self._write(files)

    def _is_known(self, file: str, stamp: list[int]) -> bool:
        entry = self._entries.get(file)
        if entry is None or entry.get("stamp") != stamp or "result" not in entry:
            return False
        result = entry["result"]
        return result is None or os.path.exists(result[-1])

    def _write(self, files: list[str]) -> None:
        if self._cache is None:
            return
        text = json.dumps(
            {"version": _CACHE_VERSION, "files": {f: self._entries[f] for f in files if f in self._entries}}
        )
        temporary = self._cache.with_name(f"{self._cache.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # it only saves time
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self._cache)


def _read_cache(cache: Path | None) -> dict[str, Any]:
    if cache is None:
        return {}
    try:
        raw = json.loads(cache.read_text(encoding="utf-8"))
        files = raw["files"] if raw["version"] == _CACHE_VERSION else {}
        return {file: entry for file, entry in files.items() if isinstance(entry, dict)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _stamp(file: str) -> list[int]:
    status = os.stat(file)
    return [status.st_mtime_ns, status.st_size]


def _probe_all(files: list[str]) -> dict[str, Any]:
    if not files:
        return {}
    from concurrent.futures import ThreadPoolExecutor  # not needed on a start with a warm cache

    with ThreadPoolExecutor(_PROBES_AT_ONCE) as pool:
        return dict(zip(files, pool.map(_probe, files), strict=True))


def _probe(file: str) -> Any:
    """Run it. None if it is no program of ours: a script such as a version manager's shim is not even tried.
    `_NO_ANSWER` if it said nothing in time."""
    try:
        with open(file, "rb") as program:
            if program.read(4) != b"\x7fELF":
                return None
    except OSError:
        return None
    try:
        return _probe_node(file) if os.path.basename(file).startswith("node") else _probe_python(file)
    except subprocess.TimeoutExpired:
        return _NO_ANSWER


def _probe_python(file: str) -> Any:
    match _output([file, "-I", "-S", "-c", _PYTHON_PROBE]):
        case ["cpython", major, minor, flags, path] if "t" not in flags:
            return ["python", int(major), int(minor), path]
        case _:
            return None


def _probe_node(file: str) -> Any:
    match _output([file, "--version"]):
        case [version] if version.startswith("v") and version[1:].partition(".")[0].isdigit():
            return ["node", int(version[1:].partition(".")[0]), file]
        case _:
            return None


def _output(command: list[str]) -> list[str]:
    """Its lines; none if it failed. Raises `TimeoutExpired`."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except OSError:
        return []
    return done.stdout.decode("utf-8", "replace").splitlines() if done.returncode == 0 else []
