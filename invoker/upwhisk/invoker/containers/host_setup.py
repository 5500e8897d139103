"""What root does once (after each start of the host) so that an ordinary user can limit guests."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from upwhisk.common.errors import StartupError
from upwhisk.invoker.containers import cgroups_v1, cgroups_v2
from upwhisk.invoker.containers.cgroups import Mount, cgroup_mounts, write

_OWNED_V1 = ("", "tasks", "cgroup.procs")
_OWNED_V2 = ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control")


def host_setup(user: str, pid: int | None = None) -> tuple[str, ...]:
    """Give `user` (a name, or digits) a cgroup of their own; says what was done. Repeatable; needs root.

    On cgroup v2 a process cannot move itself in from outside: `pid`, a shell of the user's for instance, is moved.
    Raises `StartupError` naming what failed.
    """
    try:
        account = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        uid, gid, name = account.pw_uid, account.pw_gid, account.pw_name
    except KeyError:
        if not user.isdigit():
            raise StartupError(f"there is no user '{user}'") from None
        uid, gid, name = int(user), int(user), user
    mounts = list(cgroup_mounts(Path("/proc/self/mountinfo").read_text(encoding="utf-8")))
    try:
        if any("memory" in mount.controllers for mount in mounts):
            return _setup_v1(mounts, name, uid, gid)
        return _setup_v2(next(m for m in mounts if m.version == 2), name, (uid, gid), pid)
    except StopIteration:
        raise StartupError("no cgroup file system is mounted: mount -t cgroup2 none /sys/fs/cgroup") from None
    except OSError as error:
        raise StartupError(f"the cgroup of user '{name}' cannot be made: {error}") from None


def _setup_v1(mounts: list[Mount], name: str, uid: int, gid: int) -> tuple[str, ...]:
    done = []
    for folder in dict.fromkeys(cgroups_v1.base_v1(mounts, name).values()):
        folder.mkdir(parents=True, exist_ok=True)
        _give(folder, _OWNED_V1, uid, gid)
        done.append(f"{folder} belongs to {name} until the host restarts")
    return tuple(done)


def _setup_v2(mount: Mount, name: str, owner: tuple[int, int], pid: int | None) -> tuple[str, ...]:
    parent = mount.path / "upwhisk"
    folder = parent / name
    cgroups_v2.enable(mount.path)
    parent.mkdir(exist_ok=True)
    cgroups_v2.enable(parent)
    folder.mkdir(exist_ok=True)
    _give(folder, _OWNED_V2, *owner)
    done = [f"{folder} belongs to {name} until the host restarts"]
    if pid is not None:
        write(folder / "cgroup.procs", str(pid))
        done.append(f"process {pid} was moved there: start upwhisk from it")
    return tuple(done)


def _give(folder: Path, names: tuple[str, ...], uid: int, gid: int) -> None:
    for name in names:
        if (folder / name).exists():
            os.chown(folder / name, uid, gid)
