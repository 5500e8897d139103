"""cgroup v1: one folder in each controller's hierarchy."""

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

NEEDED = ("memory", "pids", "freezer", "cpu", "cpuacct")
_PERIOD_US = 100_000
_DEDICATED_SHARES = 512


class CgroupV1(Cgroup):
    """`folders`: controller -> folder; mounted together, controllers share one."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self._folders = folders

    def folder(self, controller: str) -> Path:
        return self._folders[controller]

    def entrance(self) -> Entrance:
        flags = os.O_WRONLY | os.O_CLOEXEC
        return Entrance(
            tasks=tuple(os.open(f / "tasks", flags) for f in dict.fromkeys(self._folders.values()))
        )

    def freeze(self) -> None:
        write(self._folders["freezer"] / "freezer.state", "FROZEN")

    def thaw(self) -> None:
        write(self._folders["freezer"] / "freezer.state", "THAWED")

    def is_frozen(self) -> bool:
        return read(self._folders["freezer"] / "freezer.state").strip() == "FROZEN"

    def kill(self) -> None:
        for folder in dict.fromkeys(self._folders.values()):
            with contextlib.suppress(FileNotFoundError):
                for pid in read(folder / "cgroup.procs").split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError):
            self.thaw()  # a frozen process does not die before

    def oom_kills(self) -> int:
        return counter(read(self._folders["memory"] / "memory.oom_control"), "oom_kill")

    def resize(self, memory_mb: int) -> None:
        folder, limit = self._folders["memory"], str(memory_mb << 20)
        names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        if not (folder / names[1]).exists():  # swap is not accounted on this kernel
            names.pop()
        elif int(read(folder / names[0])) < int(limit):
            names.reverse()  # memory may never be above memory and swap
        for name in names:
            write(folder / name, limit)

    def set_limits(self, limits: CgroupLimits) -> None:
        self.resize(limits.memory_mb)
        write(self._folders["pids"] / "pids.max", str(limits.processes))
        if limits.cores:
            write(self._folders["cpu"] / "cpu.cfs_period_us", str(_PERIOD_US))
            write(self._folders["cpu"] / "cpu.cfs_quota_us", str(int(limits.cores * _PERIOD_US)))

    def set_weight(self, *, idle: bool) -> None:
        folder = self._folders["cpu"]
        if idle and (folder / "cpu.idle").exists():
            write(folder / "cpu.idle", "1")
        else:
            write(folder / "cpu.shares", "2" if idle else str(_DEDICATED_SHARES))

    def stats(self) -> ContainerStats:
        memory = int(read(self._folders["memory"] / "memory.usage_in_bytes"))
        cpu = int(read(self._folders["cpuacct"] / "cpuacct.usage"))
        return ContainerStats(memory, cpu, int(read(self._folders["pids"] / "pids.current")))

    def remove(self) -> bool:
        gone = True
        for folder in dict.fromkeys(self._folders.values()):
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone

    def children(self) -> list[CgroupV1]:
        names = {p.name for f in set(self._folders.values()) if f.is_dir() for p in f.iterdir() if p.is_dir()}
        return [CgroupV1({c: f / name for c, f in self._folders.items()}) for name in sorted(names)]

    def make(self, *, fresh: bool) -> None:
        for folder in dict.fromkeys(self._folders.values()):
            folder.mkdir(exist_ok=not fresh)


class TreeV1(CgroupTree):
    """`base`: controller -> the folder below which this user may make groups."""

    def __init__(self, base: dict[str, Path]) -> None:
        self._base = base
        self._parent: dict[str, Path] = {}

    def create_parent(self, instance: str, *, idle: bool) -> None:
        self._parent = {c: f / f"{PREFIX}{instance}" for c, f in self._base.items()}
        parent = CgroupV1(self._parent)
        parent.make(fresh=False)
        parent.set_weight(idle=idle)

    def group(self, name: str, limits: CgroupLimits | None = None) -> CgroupV1:
        group = CgroupV1({c: f / name for c, f in self._parent.items()})
        if limits is not None:
            group.remove()  # one that an earlier guest left has its counters
        try:
            group.make(fresh=limits is not None)
            if limits is not None:
                group.set_limits(limits)
        except OSError:
            group.remove()
            raise
        return group

    def remains(self, instance: str) -> list[Cgroup]:
        parent = CgroupV1({c: f / f"{PREFIX}{instance}" for c, f in self._base.items()})
        return [*parent.children(), parent]


def base_v1(mounts: list[Mount], user: str) -> dict[str, Path]:
    """Where the process may make groups: root at the top of each hierarchy, others below `upwhisk/<user>`."""
    found = {c: m.path for m in mounts if m.version == 1 for c in NEEDED if c in m.controllers}
    return found if not user else {c: path / "upwhisk" / user for c, path in found.items()}


def missing_v1(base: dict[str, Path], user: str) -> list[str]:
    """What hinders, each with its remedy."""
    absent = [c for c in NEEDED if c not in base]
    if absent:
        return [
            f"the cgroup controllers {', '.join(absent)} are not mounted: mount them, or boot with cgroup v2"
        ]
    closed = [c for c, folder in base.items() if not os.access(folder, os.W_OK)]
    if not closed:
        return []
    if user:
        text = f"user {user} has no cgroup of their own for {', '.join(closed)}, so memory cannot be limited"
        return [f"{text}: run once as root `upwhisk admin host-setup --user {user}`"]
    return [f"the cgroup hierarchies of {', '.join(closed)} are read-only: remount them writable"]
