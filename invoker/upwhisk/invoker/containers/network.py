"""The outside world for guests: NAT behind a bridge and a table of our own. For root only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.invoker.containers import network_rules
from upwhisk.invoker.containers.bounds import NetworkSettings
from upwhisk.invoker.containers.namespaces import run_in_network
from upwhisk.invoker.containers.network_stock import NetworkStock, PreparedNetwork
from upwhisk.invoker.containers.network_trial import try_outside
from upwhisk.invoker.containers.zygote import kernel

_TOOL_S = 10.0
_TURN_S = 30.0
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_FORWARDING_OFF = (
    "the network 'outbound' is not available: IP forwarding is off; sysctl -w net.ipv4.ip_forward=1 (it makes this"
    " host a router, so it is not switched on silently)"
)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Nodes that start on one host choose a subnet and try it one after the other: trials share their addresses. The lock
    is an abstract Unix socket, which belongs to the network namespace and goes with its holder."""
    deadline = time.monotonic() + _TURN_S
    with socket.socket(socket.AF_UNIX) as lock:
        while True:
            try:
                lock.bind("\0upwhisk-outbound")
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.05)
        yield


def outbound_findings() -> list[str]:
    """What is missing for outbound networks on this host, without trying."""
    prefix = "the network 'outbound' is not available: "
    if os.geteuid() != 0:
        return [f"{prefix}it needs root (user-mode stacks would let guests reach this host's own addresses)"]
    lacking = [tool for tool in ("nft", "ip") if _tool(tool) is None]
    if lacking:
        packages = " ".join({"nft": "nftables", "ip": "iproute2"}[tool] for tool in lacking)
        return [f"{prefix}{' and '.join(lacking)} not found; apt install {packages}"]
    return []


class Outbound:
    """Makes networks for outbound guests. After `start`, `works` tells whether it can."""

    def __init__(self, instance: str, resolvers: tuple[str, ...], settings: NetworkSettings) -> None:
        self._instance = instance
        self._resolvers = resolvers
        self._settings = settings
        self._subnet = ""
        self._stock: NetworkStock | None = None
        self.works = False

    async def start(self) -> list[str]:
        """Returns why it does not work; nothing is left behind then."""
        if not self._settings.outbound:
            return []
        found = await asyncio.to_thread(self._start)
        if found:
            await self.aclose()
        self.works = not found
        if self.works:
            self._stock = NetworkStock(lambda number: self._prepare(f"{number - 2:x}"))
        return found

    def _start(self) -> list[str]:
        found = outbound_findings()
        if found:
            return found
        if not self._forwarding():
            return [_FORWARDING_OFF]
        try:
            with _one_at_a_time():
                self._lay_out()
                trial = self._prepare("trial")
                try:
                    problem = try_outside(trial.descriptor, network_rules.cable_name(self._instance, "out"))
                finally:
                    trial.release()
        except (OSError, LookupError, subprocess.SubprocessError) as error:
            problem = str(error)
        return [f"the network 'outbound' is not available: {problem}"] if problem else []

    def _forwarding(self) -> bool:
        if _FORWARD.read_text(encoding="ascii").strip() == "1":
            return True
        if not self._settings.forwarding:
            return False
        _FORWARD.write_text("1", encoding="ascii")
        return True

    def _lay_out(self) -> None:
        routes = _run("ip", "-4", "-o", "route", "show", "table", "all")
        taken = re.findall(r"\b\d+\.\d+\.\d+\.\d+/\d+", routes)
        self._subnet = network_rules.free_subnet(taken)
        bridge, settings = network_rules.bridge_name(self._instance), self._settings
        rules = network_rules.rules(self._instance, self._subnet, self._resolvers, settings.allow, settings.closed)
        _run("nft", "-f", "-", text=rules)
        _run("ip", "-batch", "-", text=network_rules.bridge_commands(self._instance, self._subnet))
        with contextlib.suppress(OSError):  # a kernel without IPv6
            Path(f"/proc/sys/net/ipv6/conf/{bridge}/disable_ipv6").write_text("1", encoding="ascii")
        if _has_forward_chain():  # Docker and firewalls set its policy to drop
            for end in ("iifname", "oifname"):
                comment = f'"{network_rules.table_name(self._instance)}"'
                _run(
                    "nft",
                    "insert",
                    "rule",
                    "ip",
                    "filter",
                    "FORWARD",
                    end,
                    bridge,
                    "accept",
                    "comment",
                    comment,
                )

    async def take(self) -> PreparedNetwork:
        """A network for one guest, laid ahead if possible."""
        assert self._stock is not None
        return await self._stock.take()

    async def plug(self, name: str, namespace: int) -> None:
        """Give a network namespace that somebody else made a way out; it ends with the namespace."""
        try:
            await asyncio.to_thread(self._plug, name, namespace)
        except (OSError, subprocess.SubprocessError) as error:
            raise ContainerCreateFailed(f"no network for another guest: {error}") from None

    def _plug(self, name: str, namespace: int) -> None:
        commands = self._inside_commands(name)
        run_in_network(namespace, lambda: _run("ip", "-batch", "-", text=commands))
        cable = network_rules.cable_name(self._instance, name)
        _run("ip", "-batch", "-", text=network_rules.outside_commands(cable, self._instance))

    def _inside_commands(self, name: str) -> str:
        number = int(name, 16) + 2 if name != "trial" else 4094
        cable = network_rules.cable_name(self._instance, name)
        return network_rules.inside_commands(cable, self._subnet, number % 4095, os.getpid())

    def _prepare(self, name: str) -> PreparedNetwork:
        cable, commands = network_rules.cable_name(self._instance, name), self._inside_commands(name)
        descriptor = new_network(lambda: _run("ip", "-batch", "-", text=commands))
        try:
            _run("ip", "-batch", "-", text=network_rules.outside_commands(cable, self._instance))
        except BaseException:
            os.close(descriptor)
            raise
        return PreparedNetwork(descriptor, lambda: os.close(descriptor))

    async def aclose(self) -> None:
        self.works = False
        if self._stock is not None:
            await self._stock.aclose()
            self._stock = None
        if self._subnet:
            await asyncio.to_thread(self.clean, self._instance)
            self._subnet = ""

    @staticmethod
    def clean(instance: str) -> None:
        """Remove what `instance` laid out; nothing happens where there is nothing."""
        if outbound_findings():
            return
        table = network_rules.table_name(instance)
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            _run("nft", "delete", "table", "inet", table)
        for name in (*_cables(instance), network_rules.bridge_name(instance)):
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                _run("ip", "link", "delete", name)
        if not _has_forward_chain():
            return
        listing = _run("nft", "-a", "list", "chain", "ip", "filter", "FORWARD")
        for handle in re.findall(rf'comment "{table}" # handle (\d+)', listing):
            _run("nft", "delete", "rule", "ip", "filter", "FORWARD", "handle", handle)


def _cables(instance: str) -> list[str]:
    """Those whose other end's namespace the kernel has not taken away yet: it does so in its own time."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        names = (line.split(": ", 2)[1].partition("@")[0] for line in _run("ip", "-o", "link").splitlines())
        return [name for name in names if name.startswith(network_rules.cable_name(instance, ""))]
    return []


def new_network(configure: Callable[[], object]) -> int:
    """A descriptor of a new network namespace, after `configure` ran inside it.

    A thread enters it and ends there: no process and no mount keeps it, so nothing is left if we die.
    """
    found: list[int] = []
    failed: list[Exception] = []

    def inside() -> None:
        try:
            kernel.unshare(kernel.CLONE_NEWNET)
            found.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            configure()
        except Exception as error:  # noqa: BLE001 - carried to the caller, whatever it is
            failed.append(error)

    thread = threading.Thread(target=inside, name="guest-network")
    thread.start()
    thread.join()
    if failed:
        for descriptor in found:
            os.close(descriptor)
        raise failed[0]
    return found[0]


def _has_forward_chain() -> bool:
    try:
        _run("nft", "list", "chain", "ip", "filter", "FORWARD")
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def _tool(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _run(name: str, *arguments: str, text: str = "") -> str:
    """Run a tool; `OSError` with its complaint when it fails."""
    command = [_tool(name) or name, *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TOOL_S, check=False)
    if done.returncode:
        raise OSError(f"{name}: {done.stderr.strip()[:300]}")
    return done.stdout
