"""The group that holds all guests of an instance, so that together they weigh no more than they should."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from upwhisk.invoker.containers.cgroup_lookup import mounts
from upwhisk.invoker.containers.cgroups import PREFIX, Cgroup
from upwhisk.invoker.containers.cgroups_v1 import CgroupV1
from upwhisk.invoker.containers.cgroups_v2 import CgroupV2


def parent_name(instance: str, driver: str) -> str:
    """What the engine is told, which makes it; empty, its own choice, for whoever may not touch it afterwards."""
    if os.geteuid() != 0:
        return ""
    return f"upwhisk{instance}.slice" if driver == "systemd" else f"/{PREFIX}{instance}"


def weigh_parent(guest: Cgroup, instance: str, *, idle: bool) -> None:
    """Give the group around a guest's its weight. `OSError` if that is not possible."""
    if isinstance(guest, CgroupV1):
        parent = CgroupV1({"cpu": guest.folder("cpu").parent})
        if instance in guest.folder("cpu").parent.name:
            parent.set_weight(idle=idle)
    elif isinstance(guest, CgroupV2) and instance in guest.folder.parent.name:
        CgroupV2(guest.folder.parent).set_weight(idle=idle)


def remove_parent(instance: str) -> bool:
    """From every hierarchy; false while something is left in it."""
    gone = True
    for mount in mounts():
        for name in (f"{PREFIX}{instance}", f"upwhisk{instance}.slice"):
            folder = mount.path / name
            if folder.is_dir():
                gone = _remove(folder) and gone
    return gone


def _remove(folder: Path) -> bool:
    for child in folder.iterdir():
        if child.is_dir():
            with contextlib.suppress(OSError):
                child.rmdir()
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
