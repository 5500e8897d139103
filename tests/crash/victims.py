"""The processes of a platform, and what is left of dead ones."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from pathlib import Path

RUN = Path("/run/upwhisk")
CGROUPS = Path("/sys/fs/cgroup")
PREFIX = "upwhisk-"


ZYGOTES = "zygotes"
"""The group of an instance that holds them; the others each hold a guest."""


def zygotes(instance: str) -> list[int]:
    return sorted({int(p) for folder in _groups(instance) for p in _processes(folder / ZYGOTES)})


def guests(instance: str) -> list[int]:
    """The first process of each guest: it is what dies with the guest's namespaces."""
    found: set[int] = set()
    for folder in _groups(instance):
        for one in _entries(folder):
            held = _processes(one) if one.is_dir() and one.name != ZYGOTES else []
            found.update(int(p) for p in held[:1])
    return sorted(found)


def kill_one(pids: list[int], choice: random.Random) -> bool:
    """Kill one of them at random; False if there is none (any more)."""
    for pid in choice.sample(pids, len(pids)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
        return True
    return False


def instances() -> set[str]:
    return {one.name for one in _entries(RUN) if one.is_dir() and not one.name.startswith(".")}


def frozen(instance: str) -> int:
    """Frozen guests of an instance, on either version of cgroups."""
    count = 0
    for folder in _groups(instance):
        for state in (*folder.glob("*/freezer.state"), *folder.glob("*/cgroup.freeze")):
            try:
                count += state.read_text().strip() in ("FROZEN", "1")
            except OSError:
                continue
    return count


def remains(dead: set[str]) -> list[str]:
    """What is still there of instances that are dead: groups and their processes, mounts, folders, links, rules."""
    mounts = Path("/proc/self/mountinfo").read_text()
    listing = ["ip", "-o", "link"], ["nft", "list", "tables"]
    networks = "".join(subprocess.run(c, capture_output=True, text=True, check=True, timeout=20).stdout for c in listing)
    found: list[str] = []
    for instance in sorted(dead):
        for folder in _groups(instance):
            held = [p for f in (folder, *_entries(folder)) if f.is_dir() for p in _processes(f)]
            found.append(f"cgroup {folder}, processes {held}")
        if (RUN / instance).exists():
            found.append(f"run folder {instance}")
        if f"/{instance}/" in mounts:
            found.append(f"mounts of {instance}")
        if instance in networks:
            found.append(f"links or rules of {instance}")
    return found


def _groups(instance: str) -> list[Path]:
    bases = (CGROUPS, *(one for one in _entries(CGROUPS) if one.is_dir() and not one.is_symlink()))
    return [base / f"{PREFIX}{instance}" for base in bases if (base / f"{PREFIX}{instance}").is_dir()]


def _processes(folder: Path) -> list[str]:
    try:
        return (folder / "cgroup.procs").read_text().split()
    except OSError:
        return []


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
