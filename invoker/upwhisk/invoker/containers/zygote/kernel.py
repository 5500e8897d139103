"""The system calls that Python has no names for."""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import socket
import struct
from typing import Any

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PIDFD = 0x00001000
CLONE_INTO_CGROUP = 0x200000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2

_CLONE3 = 435
_CLOSE_RANGE = 436
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_SET_SECCOMP = 4, 8, 22
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 24, 38, 47
_CAPABILITY_VERSION = 0x20080522
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1

_libc = ctypes.CDLL(None, use_errno=True)
# Keeps the interpreter lock: a clone in the middle of a released lock would leave the child with a broken one.
_locked = ctypes.PyDLL(None, use_errno=True)
_python = ctypes.pythonapi


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def clone(flags: int, cgroup: int = -1) -> tuple[int, int]:
    """Fork into new namespaces and return (pid, pidfd), or (0, -1) in the child.

    `os.fork` after `unshare` needs a second process for the PID namespace, and on cgroup v2 a later move costs
    milliseconds (the kernel's global lock), where `cgroup` (a descriptor of its folder) costs nothing.
    """
    pidfd = ctypes.c_int(-1)
    words = [flags | CLONE_PIDFD, ctypes.addressof(pidfd), 0, 0, 17, 0, 0, 0, 0, 0, 0]
    if cgroup >= 0:
        words[0] |= CLONE_INTO_CGROUP
        words[10] = cgroup
    arguments = ctypes.create_string_buffer(struct.pack("<11Q", *words))
    _python.PyOS_BeforeFork()
    pid = _locked.syscall(_CLONE3, ctypes.byref(arguments), ctypes.c_size_t(88))
    if pid == 0:
        _python.PyOS_AfterFork_Child()
        return 0, -1
    number = ctypes.get_errno()
    _python.PyOS_AfterFork_Parent()
    ctypes.set_errno(number)
    return _check(pid, "clone3"), pidfd.value


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def enter(descriptor: int, kind: int) -> None:
    _check(_libc.setns(descriptor, kind), "setns")


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() if options else None,
    )
    _check(result, f"mount {kind or ''} {target}")


def unmount(target: str) -> None:
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    _check(_libc.syscall(_PIVOT_ROOT[platform.machine()], new.encode(), old.encode()), "pivot_root")


_libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


def prctl(option: int, first: int = 0, second: int = 0) -> int:
    return int(_libc.prctl(option, first, second, 0, 0))


def keep_capabilities() -> None:
    _check(prctl(_PR_SET_KEEPCAPS, 1), "PR_SET_KEEPCAPS")


def set_dumpable(yes: bool) -> None:
    _check(prctl(_PR_SET_DUMPABLE, int(yes)), "PR_SET_DUMPABLE")


def set_capabilities(mask: int) -> None:
    """Make `mask` the effective and permitted set; the inheritable one becomes empty."""
    low, high = mask & 0xFFFFFFFF, mask >> 32
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION, 0))
    data = ctypes.create_string_buffer(struct.pack("<6I", low, low, 0, high, high, 0))
    _check(_libc.capset(header, data), "capset")


def permitted_capabilities() -> int:
    header = ctypes.create_string_buffer(struct.pack("<Ii", _CAPABILITY_VERSION, 0))
    data = ctypes.create_string_buffer(24)
    _check(_libc.capget(header, data), "capget")
    words = struct.unpack("<6I", data.raw[:24])
    return int(words[1]) | int(words[4]) << 32


def drop_bounding_set() -> None:
    drop = _libc.prctl
    capability = 0
    while drop(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0:  # fails one past the last that this kernel knows
        capability += 1
    prctl(_PR_CAP_AMBIENT, 4)


def forbid_new_privileges() -> None:
    _check(prctl(_PR_SET_NO_NEW_PRIVS, 1), "PR_SET_NO_NEW_PRIVS")


def load_filter(program: Any) -> None:
    """`program` is what `filter_program` made."""
    _check(prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(program[0])), "seccomp")


def filter_program(code: bytes) -> Any:
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    buffer = ctypes.create_string_buffer(code, len(code))
    return Program(len(code) // 8, ctypes.addressof(buffer)), buffer


def close_from(lowest: int, highest: int = 0xFFFFFFFF) -> None:
    if lowest <= highest and _libc.syscall(_CLOSE_RANGE, lowest, ctypes.c_uint(highest), 0) < 0:
        os.closerange(lowest, min(highest, 65535) + 1)


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(channel, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(channel, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))
