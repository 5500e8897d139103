"""What an engine is asked for: one guest as the body of its create call. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from upwhisk.common.spi.containers import ContainerSpec, Network
from upwhisk.invoker.containers.bounds import GuestBounds
from upwhisk.invoker.containers.docker.image_names import MOUNT
from upwhisk.invoker.containers.seccomp import ABSENT, CALLS, NEW_NAMESPACES, PERSONALITIES, SOCKETS

INSTANCE = "upwhisk.instance"
RUN_DIR = "upwhisk.run-dir"
API_HOST = "http://127.0.0.1:3233"
"""Where guests with a network `api` or `outbound` find the platform's API."""
_MIB = 1 << 20
_NOBODY = "127.0.0.1"  # else the engine tells them the name servers of this host
_IDLE_SHARES = 2
_DEDICATED_SHARES = 512
_SHARED_MEMORY_MB = 64
_SMALL = 65536
_MOST_VOLUMES = 16
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",  # noqa: S108
    "TMPDIR": "/tmp",  # noqa: S108
    "LANG": "C.UTF-8",
}
# The engine's own list; naming any replaces all.
_MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
_ARCHITECTURES = {"x86_64": "SCMP_ARCH_X86_64", "aarch64": "SCMP_ARCH_AARCH64"}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all guests of a factory share. `cgroup_parent` empty: the engine's own; `runtime` empty: its default."""

    instance: str
    run_dir: str
    machine: str
    bounds: GuestBounds
    resolvers: tuple[str, ...] = ()
    cgroup_parent: str = ""
    runtime: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """What is run: an image of ours with the command that its label names and the folder it finds its sockets in, or
    (`argv` empty) somebody else's image as it is. `volumes`: paths that an image declares as volumes; they become
    bounded scratch. `writable`: its root may be written to, by its own user."""

    image: str
    argv: tuple[str, ...] = ()
    folder: str = ""
    volumes: tuple[str, ...] = ()
    writable: bool = False


def container_config(around: Surroundings, spec: ContainerSpec, command: Command, uid: int) -> dict[str, Any]:
    ours = bool(command.argv)
    environment = {**(_ENVIRONMENT if ours else {}), **dict(spec.environment), "__OW_API_HOST": API_HOST}
    config: dict[str, Any] = {
        "Image": command.image,
        "Hostname": "guest",
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": {INSTANCE: around.instance, RUN_DIR: around.run_dir},
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdin": False,
        "OpenStdin": False,
        "HostConfig": _host_config(around, spec, command, uid),
    }
    if ours:
        config |= {"Entrypoint": [], "Cmd": list(command.argv), "WorkingDir": "/tmp"}  # noqa: S108
    if not command.writable:
        config["User"] = f"{uid}:{uid}"
    return config


def _host_config(around: Surroundings, spec: ContainerSpec, command: Command, uid: int) -> dict[str, Any]:
    bounds, memory = around.bounds, spec.memory_mb * _MIB
    config: dict[str, Any] = {
        "NetworkMode": "none",
        "Dns": list(around.resolvers) if spec.network is Network.OUTBOUND else [_NOBODY],
        "ReadonlyRootfs": not command.writable,
        "CapDrop": ["ALL"],
        "Privileged": False,
        "SecurityOpt": ["no-new-privileges", f"seccomp={profile(around.machine)}"],
        "PidsLimit": bounds.processes,
        "Memory": memory,
        "MemorySwap": memory,
        "ShmSize": min(_SHARED_MEMORY_MB, bounds.scratch_mb) * _MIB,
        "Tmpfs": {path: _scratch(bounds, uid) for path in _scratch_paths(command)},
        "Ulimits": _ulimits(bounds),
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "LogConfig": {"Type": "none", "Config": {}},
        "RestartPolicy": {"Name": "no"},
        "MaskedPaths": [*_MASKED, *(["/sys"] if command.argv else [])],
    }
    if command.folder:
        config["Binds"] = [f"{command.folder}:{MOUNT}:ro", f"{command.folder}/passwd:/etc/passwd:ro"]
    if bounds.cores:
        config["NanoCpus"] = int(bounds.cores * 1e9)
    if around.cgroup_parent:
        config["CgroupParent"] = around.cgroup_parent
    else:
        config["CpuShares"] = _IDLE_SHARES if bounds.idle else _DEDICATED_SHARES
    if around.runtime:
        config["Runtime"] = around.runtime
    return config


def _scratch_paths(command: Command) -> tuple[str, ...]:
    """An anonymous volume would be the host's disk without a bound."""
    return ("/tmp", *(path for path in command.volumes[:_MOST_VOLUMES] if path.rstrip("/") not in ("", "/tmp")))  # noqa: S108


def _scratch(bounds: GuestBounds, uid: int) -> str:
    size = f"size={bounds.scratch_mb}m,nr_inodes={bounds.scratch_files}"
    return f"rw,nosuid,nodev,exec,{size},mode=700,uid={uid},gid={uid}"


def _ulimits(bounds: GuestBounds) -> list[dict[str, Any]]:
    limits = {
        "core": 1,  # and not none: a host's core handler at the end of a pipe would get the dump in spite of a zero
        "nofile": bounds.open_files,
        "fsize": bounds.scratch_mb * _MIB,
        "memlock": _SMALL,
        "msgqueue": _SMALL,
        "sigpending": _SMALL,
    }
    return [{"Name": name, "Soft": limit, "Hard": limit} for name, limit in limits.items()]


def profile(machine: str) -> str:
    """The same allow-list as for process guests, in the engine's form."""
    rules: list[dict[str, Any]] = [
        {"names": CALLS.split(), "action": "SCMP_ACT_ALLOW"},
        _rule("clone", (0, NEW_NAMESPACES, "SCMP_CMP_MASKED_EQ", 0)),
        *(_rule("socket", (0, family, "SCMP_CMP_EQ", 0)) for family in SOCKETS),
        _rule("socket", (0, 16, "SCMP_CMP_EQ", 0), (2, 0, "SCMP_CMP_EQ", 0)),
        *(_rule("personality", (0, 0xFFFFFFFF, "SCMP_CMP_MASKED_EQ", value)) for value in PERSONALITIES),
        {"names": list(ABSENT), "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
    ]
    text = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}
    if machine in _ARCHITECTURES:
        text["architectures"] = [_ARCHITECTURES[machine]]
    return json.dumps(text, separators=(",", ":"))


def _rule(call: str, *conditions: tuple[int, int, str, int]) -> dict[str, Any]:
    arguments = [
        {"index": index, "value": value, "op": operator, "valueTwo": second}
        for index, value, operator, second in conditions
    ]
    return {"names": [call], "action": "SCMP_ACT_ALLOW", "args": arguments}


def volumes_of(image: dict[str, Any]) -> tuple[str, ...]:
    """The paths that an image declares as volumes."""
    declared = (image.get("Config") or {}).get("Volumes") or {}
    return tuple(path for path in declared if isinstance(path, str) and path.startswith("/"))


def instances_of(containers: Iterable[dict[str, Any]]) -> dict[str, list[str]]:
    """Instance -> ids of its containers, from the engine's list."""
    found: dict[str, list[str]] = {}
    for one in containers:
        instance = (one.get("Labels") or {}).get(INSTANCE)
        if instance:
            found.setdefault(str(instance), []).append(str(one["Id"]))
    return found
