"""The cgroups of a process that somebody else put there."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from upwhisk.invoker.containers.cgroups import Cgroup, Mount, cgroup_mounts
from upwhisk.invoker.containers.cgroups_v1 import NEEDED, CgroupV1
from upwhisk.invoker.containers.cgroups_v2 import CgroupV2


def mounts() -> list[Mount]:
    return list(cgroup_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8")))


def group_of(pid: int, where: Iterable[Mount]) -> Cgroup | None:
    """None if its files are not in sight here, for instance from inside of a container. `OSError` if it is gone."""
    text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    folders = folders_of(text, where)
    if all(name in folders for name in NEEDED):
        group: Cgroup = CgroupV1({name: folders[name] for name in NEEDED})
        return group if all(folders[name].is_dir() for name in NEEDED) else None
    if "" in folders and (folders[""] / "memory.max").exists():
        return CgroupV2(folders[""])
    return None


def folders_of(text: str, where: Iterable[Mount]) -> dict[str, Path]:
    """Pure: controller -> folder, from the text of `/proc/<pid>/cgroup`; the controller of version 2 is empty."""
    paths: dict[str, str] = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        for name in controllers.split(","):
            paths[name] = path
    found: dict[str, Path] = {}
    for mount in where:
        for name in mount.controllers if mount.version == 1 else ("",):
            path = paths.get(name, "")
            root = mount.root.rstrip("/")
            if path.startswith(root + "/") and "/.." not in path:
                found.setdefault(name, mount.path / path[len(root) :].lstrip("/"))
    return found


def is_writable(group: Cgroup) -> bool:
    """Whether this user may freeze and limit it."""
    if isinstance(group, CgroupV1):
        return os.access(group.folder("freezer") / "freezer.state", os.W_OK)
    return isinstance(group, CgroupV2) and os.access(group.folder / "cgroup.freeze", os.W_OK)
