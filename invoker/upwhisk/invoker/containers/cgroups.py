"""The small interface behind which cgroup v1 and v2 look alike, and the choice between them.

Calls are single reads and writes of cgroupfs files, tens of microseconds each, hence not asynchronous.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from upwhisk.common.spi.containers import ContainerStats

PREFIX = "upwhisk-"


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """`cores` 0: all."""

    memory_mb: int
    processes: int
    cores: float = 0.0


@dataclass(frozen=True, slots=True)
class Entrance:
    """How a new process gets in: `tasks` are descriptors it writes "0" to itself; `folder` is what clone3 takes.
    Whoever asked for it closes them."""

    tasks: tuple[int, ...] = ()
    folder: int = -1

    def close(self) -> None:
        for descriptor in (*self.tasks, *((self.folder,) if self.folder >= 0 else ())):
            os.close(descriptor)


class Cgroup(ABC):
    """One group of processes with limits."""

    @abstractmethod
    def entrance(self) -> Entrance: ...

    @abstractmethod
    def freeze(self) -> None:
        """Ask for it; `is_frozen` tells when all stand still."""

    @abstractmethod
    def thaw(self) -> None: ...

    @abstractmethod
    def is_frozen(self) -> bool: ...

    @abstractmethod
    def kill(self) -> None:
        """Kill every process in it, frozen or not; returns before they are gone."""

    @abstractmethod
    def oom_kills(self) -> int: ...

    @abstractmethod
    def resize(self, memory_mb: int) -> None:
        """`OSError` when more is in use."""

    @abstractmethod
    def stats(self) -> ContainerStats: ...

    @abstractmethod
    def remove(self) -> bool:
        """Whether it is gone; false while processes are left."""


class CgroupTree(ABC):
    """All groups of one instance, below one parent."""

    @abstractmethod
    def create_parent(self, instance: str, *, idle: bool) -> None:
        """`idle`: guests get what the node's owner leaves over; else a weight below the platform's."""

    @abstractmethod
    def group(self, name: str, limits: CgroupLimits | None = None) -> Cgroup:
        """Make the group `name`, empty; without `limits` it has none (the zygotes')."""

    @abstractmethod
    def remains(self, instance: str) -> list[Cgroup]:
        """The groups of `instance`, children before parents."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of mountinfo that concerns cgroups. `controllers` is empty for v2."""

    path: Path
    root: str
    controllers: frozenset[str]
    version: int


def cgroup_mounts(mountinfo: str) -> Iterator[Mount]:
    """Pure: the cgroup mounts in the text of `/proc/self/mountinfo`."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        fields = left.split(" ")
        if kind == "cgroup2":
            yield Mount(Path(fields[4]), fields[3], frozenset(), 2)
        elif kind == "cgroup":
            yield Mount(Path(fields[4]), fields[3], frozenset(options.split(",")), 1)


def write(path: Path, text: str) -> None:
    """One write(2), without truncating first as `open(..., "w")` does."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def read(path: Path) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65536).decode()
    finally:
        os.close(descriptor)


def counter(text: str, name: str) -> int:
    """Pure: the number behind `name` in a file of `name number` lines, 0 if it is not there."""
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
