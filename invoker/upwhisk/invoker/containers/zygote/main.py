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

_FRESH = (
    kernel.CLONE_NEWPID
    | kernel.CLONE_NEWNS
    | kernel.CLONE_NEWIPC
    | kernel.CLONE_NEWUTS
)


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
        serve = _prepare(plan)
        program = kernel.filter_program(base64.b64decode(plan["filter"]))
    except Exception as error:
        control.send(b"error: " + f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    control.send(b"ready")
    _wait(control, program)
    _become(plan, serve)


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
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps guests; the platform watches their pidfds
    sys.path[:] = [p for p in sys.path if os.path.exists(p)]
    if plan["library"]:
        sys.path.append(plan["library"])
    serve = _load(plan["proxy"], plan["preload"]) if plan["arguments"] is None else None
    os.environ.clear()
    gc.collect()
    gc.freeze()
    return serve


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
    return module.serve


def _wait(control: socket.socket, code: Any) -> None:
    """Fork for each order; returns only in the children, as guests."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 16, 16)
        if not message:
            os._exit(0)
        report = socket.socket(fileno=descriptors.pop(0))
        cgroup = descriptors.pop() if b"c" in message else -1
        flags = _FRESH | (kernel.CLONE_NEWNET if b"n" in message else 0)
        try:
            pid, pidfd = kernel.clone(flags, cgroup)
        except OSError as error:
            _tell(report, f"error: {error}".encode(), [])
        else:
            if pid == 0:
                control.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _confine(report, descriptors, code)
                return
            _tell(report, b"forked", [pidfd])
            os.close(pidfd)
        for descriptor in (*descriptors, *([cgroup] if cgroup >= 0 else [])):
            os.close(descriptor)
        report.close()


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


def _become(plan: dict[str, Any], serve: Any) -> None:
    if plan["arguments"] is not None:
        os.execve(plan["arguments"][0], plan["arguments"], dict(os.environ))
    sys.argv[:] = [plan["proxy"]]
    try:
        serve(confine.LISTEN)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)
