"""A host of its own for the crash tests, and the world outside it, where the side effects of guests are counted.

The process that runs this is alone in new network and mount namespaces: nothing of the real host is changed.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass, field

from crash.actions import OUTSIDE, PORT

from upwhisk.invoker.containers.network import new_network

Effect = tuple[str, str, int]
"""Token of the call, action, stage of the sequence."""


@dataclass
class Effects:
    """`runs`: how often each effect was seen. `by_id`: the same by the activation that caused it."""

    runs: Counter[Effect] = field(default_factory=Counter)
    by_id: Counter[str] = field(default_factory=Counter)
    total: int = 0
    again: int = 0
    """Datagrams that came once more because nobody had acknowledged them in time."""
    _numbers: set[str] = field(default_factory=set)

    def add(self, datagram: bytes) -> None:
        number, id_, token, what, stage = json.loads(datagram)
        if number in self._numbers:
            self.again += 1
            return
        self._numbers.add(number)
        self.runs[(str(token), what, int(stage))] += 1
        self.by_id[str(id_)] += 1
        self.total += 1


def run_tool(text: str) -> None:
    subprocess.run(["sh", "-ec", text], check=True, capture_output=True, timeout=20)


def own_host(run_dir: str = "/run/upwhisk") -> Effects:
    """Make this namespace a host that forwards, with one neighbour that counts. Call once, as root."""
    os.makedirs(run_dir, exist_ok=True)
    run_tool(f"mount -t tmpfs -o mode=0700 crash-run {run_dir}")
    run_tool("ip link set lo up; echo 1 > /proc/sys/net/ipv4/ip_forward")
    effects = Effects()
    counter: list[socket.socket] = []

    def outside() -> None:
        cable = f"ip link add eth0 type veth peer name world netns {os.getpid()}"
        run_tool(f"{cable}; ip link set lo up; ip link set eth0 up; ip addr add {OUTSIDE}/24 dev eth0")
        counter.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        counter[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        counter[0].bind((OUTSIDE, PORT))

    _KEPT.append(new_network(outside))
    run_tool("ip addr add 198.51.100.1/24 dev world; ip link set world up")

    def receive() -> None:
        while True:
            datagram, sender = counter[0].recvfrom(65536)
            effects.add(datagram)
            counter[0].sendto(b"seen", sender)

    threading.Thread(target=receive, name="effects", daemon=True).start()
    return effects


_KEPT: list[int] = []
"""The descriptor of the outside: it lives as long as we do."""
