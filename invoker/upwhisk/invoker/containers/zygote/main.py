"""The zygote: has a runtime loaded, and forks a confined guest for each order.

Its control socket is its life line: when the platform's end closes, however the platform died, it exits; being the
first process of its PID namespace, the kernel then kills every guest below it.
"""

from __future__ import annotations

import base64
import gc
import importlib.util
import json
import os
import signal
import socket
import stat
import sys
from typing import Any

from . import confine, kernel, root

_FRESH = kernel.CLONE_NEWPID | kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS

_REHEARSALS = 10
"""After so many calls, interpreters have specialised the code of a function (PEP 659): once here, not in each guest."""


def main(descriptor: int) -> None:
    """Run as a zygote on the control socket `descriptor`; never returns."""
    control = socket.socket(fileno=descriptor)
    try:
        text, entrance, _, _ = socket.recv_fds(control, 1 << 20, 16)
        plan = json.loads(text)
        for group in entrance:
            _join(group)
        if plan["user_namespace"]:
            _own_user_namespace()
        kernel.unshare(_FRESH | kernel.CLONE_NEWNET)
        pid = os.fork()
        if pid:
            os._exit(0)
        proxy = _prepare(plan)
        program = kernel.filter_program(base64.b64decode(plan["filter"]))
    except Exception as error:
        control.send(b"error: " + f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    control.send(b"ready")
    report, descriptors = _wait(control)
    _confine(report, descriptors, program)
    _become(plan, proxy)


def _join(group: int) -> None:
    """`group`: a v1 `tasks` file, or a v2 folder."""
    if stat.S_ISDIR(os.fstat(group).st_mode):
        file = os.open("cgroup.procs", os.O_WRONLY, dir_fd=group)
        os.write(file, b"0")
        os.close(file)
    else:
        os.write(group, b"0")
    os.close(group)


def _own_user_namespace() -> None:
    uid, gid = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as stream:
            stream.write(text)


def _prepare(plan: dict[str, Any]) -> Any:
    os.setsid()
    root.build(plan["root"], plan["mountpoint"])
    null = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(
        signal.SIGCHLD, signal.SIG_IGN
    )  # the kernel reaps guests; the platform watches their pidfds
    sys.path[:] = [p for p in sys.path if os.path.exists(p)]
    if plan["library"]:
        sys.path.append(plan["library"])
    proxy = _load(plan["proxy"], plan["preload"]) if plan["arguments"] is None else None
    if proxy is not None and hasattr(proxy, "rehearse"):
        for _ in range(_REHEARSALS):
            proxy.rehearse()
    os.environ.clear()
    gc.collect()
    gc.freeze()
    return proxy


def _load(path: str, preload: list[str]) -> Any:
    spec = importlib.util.spec_from_file_location("upwhisk_proxy", path)
    if spec is None or spec.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["upwhisk_proxy"] = module
    spec.loader.exec_module(module)
    for name in preload:
        try:
            __import__(name)
        except ImportError:
            continue  # a module that this interpreter was built without
    return module


def _wait(control: socket.socket) -> tuple[socket.socket, list[int]]:
    """Fork for each order; returns only in the children, what they were given."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 16, 16)
        if not message:
            os._exit(0)
        cgroup = descriptors.pop() if b"c" in message else -1  # a process can only be born into a v2 group
        if _fork(control, descriptors, cgroup, fresh_network=b"n" in message):
            return socket.socket(fileno=descriptors[0]), descriptors[1:]


def _fork(control: socket.socket, descriptors: list[int], cgroup: int, *, fresh_network: bool) -> bool:
    """True in the child."""
    try:
        pid, pidfd = kernel.clone(_FRESH | (kernel.CLONE_NEWNET if fresh_network else 0), cgroup)
    except OSError as error:
        report = socket.socket(fileno=descriptors[0])
        _tell(report, f"error: {error}".encode(), [])
        report.detach()
        _close([*descriptors, *([cgroup] if cgroup >= 0 else [])])
        return False
    if pid == 0:
        _enter_child(control)
        return True
    if cgroup >= 0:
        os.close(cgroup)
    _announce(descriptors, pidfd)
    return False


def _enter_child(control: socket.socket) -> None:
    control.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()


def _announce(descriptors: list[int], pidfd: int) -> None:
    report = socket.socket(fileno=descriptors[0])
    _tell(report, b"forked", [pidfd])
    report.detach()
    _close([*descriptors, pidfd])


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _tell(report: socket.socket, text: bytes, descriptors: list[int]) -> None:
    try:
        socket.send_fds(report, [text], descriptors)
    except OSError:
        return  # whoever ordered it has given up


def _confine(report: socket.socket, descriptors: list[int], code: Any) -> None:
    try:
        confine.enter(report, descriptors, code)
    except BaseException as error:
        _tell(report, b"error: " + f"{type(error).__name__}: {error}".encode(), [])
        os._exit(1)


def _become(plan: dict[str, Any], proxy: Any) -> None:
    if plan["arguments"] is not None:
        os.execve(plan["arguments"][0], plan["arguments"], dict(os.environ))
    sys.argv[:] = [plan["proxy"]]
    try:
        proxy.serve(confine.LISTEN)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)
