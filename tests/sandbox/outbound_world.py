"""Run by test_network.py in a fresh network namespace: builds a small world around it and lets guests try.

Prints what they reached, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from sandbox.guests import run, spec
from sandbox.kits import Kit, ProcessKit

from upwhisk.common.spi.containers import ContainerFactory, Network
from upwhisk.invoker.containers import network
from upwhisk.invoker.containers.bounds import NetworkSettings

RUN_DIR, ENGINE, HOW = Path(sys.argv[1]), sys.argv[2], [*sys.argv[3:], ""][0]
KIT: Kit
if ENGINE == "none":
    KIT = ProcessKit(RUN_DIR)
else:
    from sandbox.docker_kit import DockerKit

    KIT = DockerKit(RUN_DIR, ENGINE)
PUBLIC, RESOLVER, PRIVATE, ALLOWED = "203.0.113.9", "10.77.0.5", "10.77.0.6", "10.88.0.5"
SERVICE, ALLOWED_SERVICE = "203.0.113.10", "10.88.0.6"
API = str(RUN_DIR / "api")
peers: list[str] = []
kept: list[int] = []


def sh(text: str) -> str:
    return subprocess.run(["sh", "-ec", text], capture_output=True, text=True, check=True).stdout


def accept_all(listener: socket.socket) -> None:
    def loop() -> None:
        while True:
            connection, peer = listener.accept()
            peers.append(peer[0])
            connection.close()

    threading.Thread(target=loop, daemon=True).start()


def build() -> None:
    sh("ip link set lo up; echo 1 > /proc/sys/net/ipv4/ip_forward")
    sh(
        "ip link add dummy0 type bridge; ip link set dummy0 up; ip addr add 192.0.2.55/24 dev dummy0; ip addr add 10.9.9.1/24 dev dummy0"
    )
    sh("ip -6 addr add fd00:1::1/64 dev dummy0 nodad")
    listeners: list[socket.socket] = []

    def outside() -> None:
        sh(
            f"ip link set lo up; ip link add eth0 type veth peer name world netns {os.getpid()}; ip link set eth0 up"
        )
        for address in (PUBLIC, SERVICE, RESOLVER, PRIVATE, ALLOWED, ALLOWED_SERVICE, "169.254.169.254"):
            sh(f"ip addr add {address}/24 dev eth0")
        sh("ip route add default via 203.0.113.1")
        listeners.extend(socket.create_server(("0.0.0.0", port)) for port in (80, 53))

    kept.append(network.new_network(outside))
    sh("ip addr add 203.0.113.1/24 dev world; ip link set world up")
    for address in ("10.77.0.1/24", "10.88.0.1/24", "169.254.169.1/24"):
        sh(f"ip addr add {address} dev world")
    for listener in (
        *listeners,
        socket.create_server(("0.0.0.0", 81)),
        socket.create_server(("::", 82), family=socket.AF_INET6),
    ):
        accept_all(listener)
    if HOW == "docker":
        sh(
            "nft add table ip filter; nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'"
        )
    if HOW == "firewall":
        sh(
            "nft add table inet wall; nft add chain inet wall transit '{ type filter hook forward priority 0; policy drop; }'"
        )
    if HOW == "noforward":
        sh("echo 0 > /proc/sys/net/ipv4/ip_forward")


def left() -> dict[str, Any]:
    listing = sh("nft list ruleset")
    tables = listing if HOW in ("docker", "firewall") else sh("nft list tables").strip()
    links = [line.split(": ")[1].partition("@")[0] for line in sh("ip -o link").splitlines()]  # /sys shows the real host's
    return {"tables": tables, "links": sorted(name for name in links if name.startswith("uw"))}


TRY = """
import socket
result = {{}}
for name, (host, port) in {targets!r}.items():
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as s:
        s.settimeout(0.7)
        try:
            s.connect((host, port))
            result[name] = True
        except OSError:
            result[name] = False
"""


async def attempt(factory: ContainerFactory) -> dict[str, bool]:
    one, two = [await factory.create(spec(network=Network.OUTBOUND)) for _ in range(2)]
    address = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('203.0.113.9', 9)); result = s.getsockname()[0]"
    other = await run(two, address)
    await run(
        two,
        "import builtins, socket; builtins.kept = socket.create_server(('0.0.0.0', 9090)); result = 1",
    )
    bridge = other.rpartition(".")[0].rpartition(".")[0] + ".0.1"
    targets = {
        "outside": (PUBLIC, 80),
        "outside, udp 53 of another": (PUBLIC, 53),
        "a service of the platform": (SERVICE, 80),
        "a service among the allowed": (ALLOWED_SERVICE, 80),
        "resolver, tcp 53": (RESOLVER, 53),
        "resolver, another port": (RESOLVER, 80),
        "allowed private": (ALLOWED, 80),
        "private": (PRIVATE, 80),
        "host, bridge": (bridge, 81),
        "host, public": ("192.0.2.55", 81),
        "host, private": ("10.9.9.1", 81),
        "host, loopback": ("127.0.0.1", 81),
        "host, v6": ("fd00:1::1", 82),
        "other guest": (other, 9090),
        "metadata": ("169.254.169.254", 80),
        "api": ("127.0.0.1", 3233),
    }
    found: dict[str, bool] = await run(one, TRY.format(targets=targets))
    return found


async def main() -> dict[str, Any]:
    for name in ("process", "docker.factory"):  # the resolvers of the real host are of no use here
        module = sys.modules.get(f"upwhisk.invoker.containers.{name}")
        if module is not None:
            setattr(module, "resolvers", lambda: (RESOLVER,))  # noqa: B010
    settings = NetworkSettings(api=API, allow=("10.88.0.0/16",), closed=(SERVICE, ALLOWED_SERVICE))
    found: dict[str, Any] = {}
    server = await asyncio.start_unix_server(lambda _, w: w.close(), API)
    async with server, KIT.make(network=settings) as factory:
        found["findings"] = factory.findings()
        found["networks"] = sorted(factory.abilities.networks)
        if Network.OUTBOUND in factory.abilities.networks:
            peers.clear()
            found["reached"] = await attempt(factory)
            found["seen as"] = peers[0]
    found["left"] = left()
    found["forwarding"] = Path("/proc/sys/net/ipv4/ip_forward").read_text(encoding="ascii").strip()
    return found


def await_forever(writing: int) -> None:
    async def forever() -> None:
        factory = KIT.make(network=NetworkSettings())
        await factory.start()
        await factory.create(spec(network=Network.OUTBOUND))
        os.write(writing, b"x")
        await asyncio.sleep(60)

    asyncio.new_event_loop().run_until_complete(forever())


def leave_a_dead_instance() -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        await_forever(writing)
    os.close(writing)
    assert os.read(reading, 1) == b"x"
    laid_out = left()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return laid_out


async def next_start(before: dict[str, Any]) -> dict[str, Any]:
    async with KIT.make():
        return {"before": before, "left": left()}


if __name__ == "__main__":
    build()
    print(json.dumps(asyncio.run(next_start(leave_a_dead_instance()) if HOW == "killed" else main())))
