"""Whether a guest's packets really get out: a second namespace plays the outside world."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable

from upwhisk.invoker.containers.namespaces import run_in_network
from upwhisk.invoker.containers.zygote import kernel

_HOST, _OUTSIDE, _PORT = "203.0.113.245", "203.0.113.246", 7
_WAIT_S = 2.0
_TOOL_S = 10.0


def try_outside(network: int, cable: str) -> str:
    """Connect from the guest network `network` to a listener outside; empty when it answers, else what hinders.

    The outside is a namespace behind a cable named `cable`, with addresses kept for documentation.
    """
    listener, outside = _outside(cable)
    try:
        _plug(cable)
        return run_in_network(network, _connect)
    finally:
        listener.close()
        os.close(outside)


def _connect() -> str:
    try:
        socket.create_connection((_OUTSIDE, _PORT), timeout=_WAIT_S).close()
    except OSError as error:
        return f"a trial connection failed ({error}): a firewall on this host drops what it forwards; let the bridge through"
    return ""


def _outside(cable: str) -> tuple[socket.socket, int]:
    made: list[tuple[socket.socket, int]] = []
    commands = (
        f"link add eth0 type veth peer name {cable} netns {os.getpid()}\n"
        f"addr add {_OUTSIDE}/30 dev eth0\nlink set eth0 up\n"
    )

    def build() -> None:
        kernel.unshare(kernel.CLONE_NEWNET)
        namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _ip(commands)
        listener = socket.create_server((_OUTSIDE, _PORT))
        made.append((listener, namespace))

    _in_thread(build)
    return made[0]


def _plug(cable: str) -> None:
    _ip(f"addr add {_HOST}/30 dev {cable}\nlink set {cable} up\n")


def _in_thread(work: Callable[[], None]) -> None:
    """A thread's network namespace is its own, and ends with it."""
    failed: list[OSError] = []

    def run() -> None:
        try:
            work()
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="network-trial")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _ip(commands: str) -> None:
    done = subprocess.run(
        ["ip", "-batch", "-"], input=commands, capture_output=True, text=True, timeout=_TOOL_S, check=False
    )
    if done.returncode:
        raise OSError(f"ip: {done.stderr.strip()[:300]}")
