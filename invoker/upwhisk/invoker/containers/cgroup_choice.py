"""Which cgroup version this host limits memory with, and whether we may use it."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from upwhisk.common.errors import ConfinementMissing
from upwhisk.invoker.containers.cgroups import CgroupTree, cgroup_mounts
from upwhisk.invoker.containers.cgroups_v1 import TreeV1, base_v1, missing_v1
from upwhisk.invoker.containers.cgroups_v2 import TreeV2, base_v2, missing_v2


def user_name() -> str:
    """Empty for root."""
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name if uid else ""
    except KeyError:
        return str(uid)


def choose_tree() -> CgroupTree:
    """On hosts with both versions, v1 where it has the memory controller. Changes nothing. Raises `ConfinementMissing`."""
    mounts = list(cgroup_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8")))
    user = user_name()
    if any("memory" in mount.controllers for mount in mounts):
        base = base_v1(mounts, user)
        missing = missing_v1(base, user)
        if missing:
            raise ConfinementMissing(tuple(missing))
        return TreeV1(base)
    unified = next((mount for mount in mounts if mount.version == 2), None)
    if unified is None:
        raise ConfinementMissing(("no cgroup file system is mounted: mount -t cgroup2 none /sys/fs/cgroup",))
    lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    own = next((line[3:] for line in lines if line.startswith("0::")), "/")
    folder = base_v2(unified, own, user)
    missing = missing_v2(folder, user)
    if missing:
        raise ConfinementMissing(tuple(missing))
    return TreeV2(folder)
