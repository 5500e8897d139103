"""Who is alive: each instance holds a lock in its run folder, and what has no living owner may be removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from upwhisk.common.errors import StartupError
from upwhisk.invoker.containers.cgroups import Cgroup, CgroupTree

_LOCK = "lock"
_PATIENCE_S = 5.0
_LONGEST_PATH = 100
"""Of 107 bytes that the address of a Unix socket may have."""


class InstanceFolder:
    """`<run_dir>/<instance>/`, mode 0700: the lock, the sockets of guests, and the place where roots are mounted."""

    def __init__(self, run_dir: Path, instance: str) -> None:
        self._run_dir = run_dir
        self.path = run_dir / instance
        self.mountpoint = self.path / "root"
        self._lock = -1

    def claim(self) -> None:
        """Raises `StartupError` when the folder cannot be made or belongs to another."""
        if len(str(self.path)) > _LONGEST_PATH - 8:
            raise StartupError(
                f"the run folder {self.path} has too long a name for Unix sockets: choose a shorter one"
            )
        hidden = self._run_dir / f".{self.path.name}"
        try:
            self._run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            hidden.mkdir(mode=0o700)
            (hidden / "root").mkdir(mode=0o700)
            self._lock = os.open(hidden / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            hidden.rename(self.path)  # nobody sees it without its lock held
        except OSError as error:
            self.release()
            raise StartupError(f"the run folder {self.path} cannot be used: {error.strerror}") from None

    def release(self, *, clean: bool = True) -> None:
        """Not `clean`: something is left that the next instance has to remove, so the folder stays to tell of it."""
        if self._lock >= 0:
            if clean:
                shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


@contextlib.contextmanager
def dead_instances(run_dir: Path) -> Iterator[list[str]]:
    """The names of instances whose process is gone; their folders are removed on leaving, if all went well."""
    held: dict[str, int] = {}
    try:
        for folder in sorted(run_dir.iterdir()) if run_dir.is_dir() else ():
            lock = _try_lock(folder / _LOCK) if not folder.name.startswith(".") else None
            if lock is not None:
                held[folder.name] = lock
        yield list(held)
        for name in held:
            shutil.rmtree(run_dir / name, ignore_errors=True)
    finally:
        for lock in held.values():
            os.close(lock)


def _try_lock(file: Path) -> int | None:
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def remove_groups(tree: CgroupTree, instance: str, patience_s: float = _PATIENCE_S) -> int:
    """Kill and remove what is left of an instance's groups, frozen ones too; how many there were. Takes its time."""
    groups = tree.remains(instance)
    waiting = [group for group in groups if not _removed(group)]
    deadline = time.monotonic() + patience_s
    while waiting and time.monotonic() < deadline:
        time.sleep(0.005)
        waiting = [group for group in waiting if not _removed(group)]
    return max(0, len(groups) - 1)


def _removed(group: Cgroup) -> bool:
    with contextlib.suppress(OSError):
        group.kill()
    return group.remove()


def default_run_dir() -> Path:
    """`/run/upwhisk` for root, else below `XDG_RUNTIME_DIR`, else in the temporary folder."""
    uid = os.geteuid()
    if uid == 0:
        return Path("/run/upwhisk")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "upwhisk" if runtime else Path(f"/tmp/upwhisk-{uid}")  # noqa: S108
