"""The folder that keeps what was built, from one run and one clone to the next."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from services.errors import Unavailable
from services.waiting import until

_LOCK_S = 1800.0
"""A build from nothing takes minutes; whoever wants the same waits for it."""
_UNUSED_S = 30 * 86400


def cache_folder() -> Path:
    """`UPWHISK_TEST_CACHE`, or a folder of this user's."""
    default = "/var/cache/upwhisk-test" if os.geteuid() == 0 else str(Path.home() / ".cache/upwhisk-test")
    folder = Path(os.environ.get("UPWHISK_TEST_CACHE") or default).absolute()
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot make {folder} ({error.strerror}): set UPWHISK_TEST_CACHE") from None
    return folder


def digest(*parts: str | Path) -> str:
    """A short hash of texts, and of the content and names of files and folders."""
    whole = hashlib.sha256()
    for part in parts:
        for name, content in _contents(part):
            whole.update(f"{name}:{len(content)}:".encode() + content)
    return whole.hexdigest()[:16]


def _contents(part: str | Path) -> Iterator[tuple[str, bytes]]:
    if isinstance(part, str):
        yield "", part.encode()
    elif part.is_dir():
        for file in sorted(p for p in part.rglob("*") if p.is_file()):
            yield str(file.relative_to(part)), file.read_bytes()
    else:
        yield part.name, part.read_bytes()


def place(name: str, key: str) -> Path:
    """Where `kept(name, key, ...)` is or will be."""
    return cache_folder() / f"{name}-{key}"


def kept(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder `name-key`; `make` fills it once, whatever number of processes ask, and all of it or nothing is seen."""
    folder = place(name, key)
    if not folder.is_dir():
        with locked(name):
            if not folder.is_dir():
                making = folder.with_name(f"{folder.name}.tmp")
                shutil.rmtree(making, ignore_errors=True)
                making.mkdir(mode=0o755)
                make(making)
                making.rename(folder)
                _forget_old(name, folder)
    os.utime(folder)
    return folder


@contextmanager
def locked(name: str, within_s: float = _LOCK_S) -> Iterator[None]:
    """Hold a lock that the kernel frees when its holder dies. Raises `Unavailable` after `within_s`."""
    path = cache_folder() / "locks" / f"{name}.lock"
    path.parent.mkdir(mode=0o755, exist_ok=True)
    with path.open("a") as file:
        if not until(lambda: try_lock(file.fileno()), within_s, every_s=0.2):
            raise Unavailable(f"another run has held {path} for {within_s:.0f} s")
        yield


def try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _forget_old(name: str, current: Path) -> None:
    """Remove what other versions left and nobody has used for a month."""
    for folder in current.parent.glob(f"{name}-*"):
        age_s = time.time() - folder.stat().st_mtime
        if folder != current and len(folder.name) == len(current.name) and age_s > _UNUSED_S:
            shutil.rmtree(folder, ignore_errors=True)
