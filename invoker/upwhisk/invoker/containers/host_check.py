"""What this host lacks for confining guests, in words that say how to mend it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from upwhisk.common.errors import ConfinementMissing, StartupError
from upwhisk.invoker.containers import seccomp
from upwhisk.invoker.containers.cgroup_choice import choose_tree
from upwhisk.invoker.containers.network import outbound_findings

# sysctl, what it must not be, what to do
_SYSCTLS = (
    (
        "user/max_user_namespaces",
        "0",
        "user namespaces are switched off: sysctl -w user.max_user_namespaces=65536",
    ),
    (
        "kernel/unprivileged_userns_clone",
        "0",
        "user namespaces are for root only: sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        "kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor restricts user namespaces: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        "user/max_pid_namespaces",
        "0",
        "PID namespaces are switched off: sysctl -w user.max_pid_namespaces=65536",
    ),
    (
        "user/max_net_namespaces",
        "0",
        "network namespaces are switched off: sysctl -w user.max_net_namespaces=65536",
    ),
)
_ROOT_TOO = ("user/",)
UNKNOWN = (
    "if it is namespaces or mounts that were refused, a filter around this process forbids them: start it outside of"
    " containers, or in one with CAP_SYS_ADMIN and without a seccomp profile"
)


def refuse(*missing: str) -> NoReturn:
    raise ConfinementMissing(missing)


@contextlib.contextmanager
def as_confinement_missing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        refuse(
            f"the cgroup of this instance cannot be made: {error}; remedy: run as root, or delegate a cgroup"
        )


def namespace_findings() -> list[str]:
    """What is known to hinder namespaces here; empty where nothing is."""
    found: list[str] = []
    for name, bad, text in _SYSCTLS:
        if os.geteuid() == 0 and not name.startswith(_ROOT_TOO):
            continue
        with contextlib.suppress(OSError):
            if (Path("/proc/sys") / name).read_text(encoding="ascii").strip() == bad:
                found.append(text)
    if os.geteuid() == 0 and not _is_privileged():
        found.append(
            "this root has no CAP_SYS_ADMIN (a container?): start it with that capability and no seccomp profile"
        )
    return found


def _is_privileged() -> bool:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) & (1 << 21))
    return False


def confinement_findings() -> tuple[str, ...]:
    """What hinders confined guests on this host, as far as can be known without starting one."""
    found: list[str] = []
    for check in (seccomp.guest_filter, choose_tree):
        try:
            check()
        except StartupError as error:
            found += getattr(error, "missing", (str(error),))
    return (*found, *namespace_findings())


def diagnose() -> tuple[str, ...]:
    """Everything that hinders guests on this host, for `upwhisk doctor`; starts nothing."""
    return (*confinement_findings(), *outbound_findings())
