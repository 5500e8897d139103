"""What a freshly forked child does to itself before it becomes a guest."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import socket
import sys
from typing import Any

from . import kernel

API_PORT = 3233
GUEST_ID = 1000
_SYS_ADMIN = 1 << 21
LISTEN, _REPORT = 3, 4


def enter(report: socket.socket, descriptors: list[int], code: Any) -> None:
    """Confine this process and return when it is a guest: descriptors 0 to 3 are its own, nothing else is open.

    `descriptors`: standard output and error, then what the order calls for. The order itself is read from
    `report` here and not in the zygote, so that nothing of one guest's stays in the memory of the next.
    """
    order = json.loads(report.recv(1 << 16))
    output, error, *rest = descriptors
    network = rest.pop(0) if order["network"] == "outbound" else None
    for tasks in rest:  # joining as "0" spares the kernel's global lock, see cgroup_procs_write_start()
        os.write(tasks, b"0")
    if order["separate_cgroup_view"]:
        kernel.unshare(kernel.CLONE_NEWCGROUP)
    listen = _sockets(order["network"], network, report)
    outer_proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
    outer_self = os.readlink("/proc/self")
    _mounts(order)
    socket.sethostname(order["hostname"])
    _limits(order)
    report_fd = _descriptors(listen, output, error, report)
    _drop(order["uid"], outer_proc, outer_self)
    os.close(outer_proc)
    kernel.close_from(_REPORT + 1)
    kernel.load_filter(code)
    _handshake(report_fd)
    os.chdir("/tmp")
    os.environ.update(order["environment"])


def _sockets(kind: str, network: int | None, report: socket.socket) -> int:
    """Sockets made here belong to the guest's network namespace, whoever binds them to what."""
    if network is not None:
        kernel.enter(network, kernel.CLONE_NEWNET)
    listen = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    passed = [listen.fileno()]
    if kind != "none":
        kernel.loopback_up()
        relay = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        relay.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        relay.bind(("127.0.0.1", API_PORT))
        relay.listen(128)
        passed.append(relay.detach())
    socket.send_fds(report, [b"sockets"], passed)
    if kind != "none":
        os.close(passed[1])
    return listen.detach()


def _mounts(order: dict[str, Any]) -> None:
    scratch = f"size={order['scratch_mb']}m,nr_inodes={order['scratch_files']},mode=700"
    scratch += f",uid={order['uid']},gid={order['uid']}"
    kernel.mount("scratch", "/tmp", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, scratch)
    # Read-only as a whole: nothing below /proc/sys, /proc/sysrq-trigger or another's oom_score_adj can be written.
    flags = kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    kernel.mount("proc", "/proc", "proc", flags)


def _limits(order: dict[str, Any]) -> None:
    # One byte and not none: a host's core handler at the end of a pipe would get the dump in spite of a zero.
    resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    files = order["open_files"]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    size = order["scratch_mb"] << 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    for name in ("RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE", "RLIMIT_SIGPENDING"):
        kind = getattr(resource, name, None)
        if kind is not None:
            bound = min(65536, resource.getrlimit(kind)[1] & 0x7FFFFFFFFFFFFFFF)
            resource.setrlimit(kind, (bound, bound))
    if order["idle"]:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    os.umask(0o022)


def _descriptors(listen: int, output: int, error: int, report: socket.socket) -> int:
    null = os.open("/dev/null", os.O_RDWR)
    opened = (null, output, error, listen, report.fileno())
    spare = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 16) for descriptor in opened]
    for number, descriptor in enumerate(spare):
        os.dup2(descriptor, number, inheritable=number != _REPORT)
    for descriptor in spare:
        os.close(descriptor)
    return _REPORT


def _drop(uid: int, outer_proc: int, outer_self: str) -> None:
    """Become an unprivileged user in a user namespace of its own, for good."""
    if uid:
        os.setgroups([])
        # With CAP_SYS_ADMIN kept, hosts that restrict user namespaces of ordinary processes allow this one.
        kernel.keep_capabilities()
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        kernel.set_capabilities(kernel.permitted_capabilities() & _SYS_ADMIN)
        kernel.set_dumpable(True)
    kernel.unshare(kernel.CLONE_NEWUSER)
    _write(outer_proc, f"{outer_self}/setgroups", "deny")
    _write(outer_proc, f"{outer_self}/uid_map", f"{GUEST_ID} {uid} 1")
    _write(outer_proc, f"{outer_self}/gid_map", f"{GUEST_ID} {uid} 1")
    kernel.drop_bounding_set()
    kernel.set_capabilities(0)
    kernel.forbid_new_privileges()


def _write(folder: int, path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY, dir_fd=folder)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _handshake(report: int) -> None:
    """The platform has bound the listening socket when it says go; without it nobody wants this guest."""
    os.write(report, b"ready")
    if os.read(report, 16) != b"go":
        sys.exit(1)
    os.close(report)
