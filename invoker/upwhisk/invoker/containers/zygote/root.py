"""Builds the one root that all guests of a zygote share, read-only, and makes it the only tree in sight."""

from __future__ import annotations

import os
from typing import Any

from . import kernel

_LOCKED = {
    kernel.MS_RDONLY: os.ST_RDONLY,
    kernel.MS_NOSUID: os.ST_NOSUID,
    kernel.MS_NODEV: os.ST_NODEV,
    kernel.MS_NOEXEC: os.ST_NOEXEC,
}


def build(plan: dict[str, Any], mountpoint: str) -> None:
    """Mount the tree that `plan` describes at `mountpoint` and pivot into it; the host's tree is gone afterwards."""
    os.umask(0o022)  # a service manager may give a stricter one, which would close the root to guests
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("upwhisk", mountpoint, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755,size=8m")
    for folder in plan["folders"]:
        os.makedirs(mountpoint + folder, mode=0o755, exist_ok=True)
    for path, target in plan["links"]:
        os.makedirs(os.path.dirname(mountpoint + path), mode=0o755, exist_ok=True)
        os.symlink(target, mountpoint + path)
    for path, text in plan["files"]:
        os.makedirs(os.path.dirname(mountpoint + path), mode=0o755, exist_ok=True)
        with open(mountpoint + path, "w", encoding="utf-8") as stream:
            stream.write(text)
    for source, path in plan["binds"]:
        _bind(source, mountpoint + path)
    for path in plan["hidden"]:
        kernel.mount(
            "none", mountpoint + path, "tmpfs", kernel.MS_RDONLY | kernel.MS_NOSUID, "size=4k,mode=555"
        )
    kernel.mount("proc", mountpoint + "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    _pivot(mountpoint)


def _bind(source: str, target: str) -> None:
    if os.path.isdir(source):
        os.makedirs(target, mode=0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    try:
        kernel.mount(source, target, None, kernel.MS_BIND)
    except OSError:  # a user namespace may only bind what lies below together with it
        kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)
    device = source.startswith("/dev/")
    flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID
    flags |= 0 if device else kernel.MS_NODEV
    present = os.statvfs(target).f_flag  # a user namespace may not take away what the host has set
    for flag, bit in _LOCKED.items():
        flags |= flag if present & bit else 0
    kernel.mount("none", target, None, flags)


def _pivot(mountpoint: str) -> None:
    os.chdir(mountpoint)
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")
    flags = kernel.MS_REMOUNT | kernel.MS_BIND | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("none", "/", None, flags)
