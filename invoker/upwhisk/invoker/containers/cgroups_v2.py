"""cgroup v2: one folder, in a tree that is delegated to us."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from upwhisk.common.spi.containers import ContainerStats
from upwhisk.invoker.containers.cgroups import (
    PREFIX,
    Cgroup,
    CgroupLimits,
    CgroupTree,
    Entrance,
    Mount,
    counter,
    read,
    write,
)

NEEDED = ("memory", "pids", "cpu")
PLATFORM = "upwhisk-platform"
_PERIOD_US = 100_000
_DEDICATED_WEIGHT = 50


class CgroupV2(Cgroup):
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def folder(self) -> Path:
        return self._folder

    def entrance(self) -> Entrance:
        return Entrance(folder=os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def freeze(self) -> None:
        write(self._folder / "cgroup.freeze", "1")

    def thaw(self) -> None:
        write(self._folder / "cgroup.freeze", "0")

    def is_frozen(self) -> bool:
        return counter(read(self._folder / "cgroup.events"), "frozen") == 1

    def kill(self) -> None:
        try:
            write(self._folder / "cgroup.kill", "1")
        except FileNotFoundError:  # before Linux 5.14, or gone
            with contextlib.suppress(FileNotFoundError):
                for pid in read(self._folder / "cgroup.procs").split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)

    def oom_kills(self) -> int:
        return counter(read(self._folder / "memory.events"), "oom_kill")

    def resize(self, memory_mb: int) -> None:
        """The kernel would take a limit below what is in use and kill for it; the contract wants an error."""
        if int(read(self._folder / "memory.current")) > memory_mb << 20:
            raise OSError("more memory is in use")
        write(self._folder / "memory.max", str(memory_mb << 20))

    def set_limits(self, limits: CgroupLimits) -> None:
        write(self._folder / "memory.max", str(limits.memory_mb << 20))
        with contextlib.suppress(FileNotFoundError):  # a kernel without swap accounting
            write(self._folder / "memory.swap.max", "0")
        write(self._folder / "pids.max", str(limits.processes))
        if limits.cores:
            write(self._folder / "cpu.max", f"{int(limits.cores * _PERIOD_US)} {_PERIOD_US}")

    def set_weight(self, *, idle: bool) -> None:
        if idle and (self._folder / "cpu.idle").exists():
            write(self._folder / "cpu.idle", "1")
        else:
            write(self._folder / "cpu.weight", "1" if idle else str(_DEDICATED_WEIGHT))

    def stats(self) -> ContainerStats:
        memory = int(read(self._folder / "memory.current"))
        cpu = counter(read(self._folder / "cpu.stat"), "usage_usec") * 1000
        return ContainerStats(memory, cpu, int(read(self._folder / "pids.current")))

    def remove(self) -> bool:
        try:
            self._folder.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def children(self) -> list[CgroupV2]:
        folders = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        return [CgroupV2(folder) for folder in folders if folder.is_dir()]


class TreeV2(CgroupTree):
    """`base`: the folder that is ours to divide."""

    def __init__(self, base: Path) -> None:
        self._base = base
        self._parent = base

    def create_parent(self, instance: str, *, idle: bool) -> None:
        try:
            enable(self._base)
        except OSError:
            make_room(self._base)
            enable(self._base)
        self._parent = self._base / f"{PREFIX}{instance}"
        self._parent.mkdir(exist_ok=True)
        CgroupV2(self._parent).set_weight(idle=idle)
        enable(self._parent)

    def group(self, name: str, limits: CgroupLimits | None = None) -> CgroupV2:
        folder = self._parent / name
        group = CgroupV2(folder)
        if limits is not None:
            group.remove()  # one that an earlier guest left has its counters
        folder.mkdir(exist_ok=limits is None)
        try:
            if limits is not None:
                group.set_limits(limits)
        except OSError:
            group.remove()
            raise
        return group

    def remains(self, instance: str) -> list[Cgroup]:
        parent = CgroupV2(self._base / f"{PREFIX}{instance}")
        return [*parent.children(), parent]


def enable(folder: Path) -> None:
    """Give the children of `folder` their controllers; `OSError` when the host does not allow it."""
    control = folder / "cgroup.subtree_control"
    lacking = [c for c in NEEDED if c not in read(control).split()]
    if lacking:
        write(control, " ".join(f"+{c}" for c in lacking))


def base_v2(mount: Mount, own: str, user: str) -> Path:
    """The folder to divide: our own cgroup if it was delegated (always so for an ordinary user), else the top.

    `own`: the path behind `0::` in `/proc/self/cgroup`.
    """
    relative = own.removeprefix(mount.root.rstrip("/")).lstrip("/")
    folder = mount.path / relative
    if folder.name == PLATFORM:
        folder = folder.parent
    return folder if user or _delegated(folder) else mount.path


def _delegated(folder: Path) -> bool:
    for name in ("trusted.delegate", "user.delegate"):
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"1":
                return True
    return False


def missing_v2(base: Path, user: str) -> list[str]:
    try:
        available = read(base / "cgroup.controllers").split()
    except OSError:
        available = []
    absent = [c for c in NEEDED if c not in available]
    writable = all(
        os.access(base / name, os.W_OK) for name in (".", "cgroup.procs", "cgroup.subtree_control")
    )
    if writable and not absent:
        return []
    lack = f"the cgroup {base} lacks {', '.join(absent)}" if absent else f"the cgroup {base} is not writable"
    if user:
        remedy = "start in a delegated scope: systemd-run --user --scope -p Delegate=yes upwhisk standalone; "
        return [
            f"{lack}, so memory cannot be limited: {remedy}or run once as root `upwhisk admin host-setup --user {user}`"
        ]
    return [f"{lack}: enable it in its parent's cgroup.subtree_control, or start with Delegate=yes"]


def make_room(base: Path) -> None:
    """Move the processes of `base` to a leaf: on v2 a group with controllers for its children has none of its own."""
    leaf = base / PLATFORM
    leaf.mkdir(exist_ok=True)
    for _ in range(8):
        pids = read(base / "cgroup.procs").split()
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                write(leaf / "cgroup.procs", pid)
