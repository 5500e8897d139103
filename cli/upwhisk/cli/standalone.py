"""The whole platform in one process on embedded parts. The only module that may know every room.

Start: settings -> data folder -> store -> bus, registry -> controller (recovery, listener) -> node -> admin socket.
Stop (SIGTERM): 503 -> what runs has `drain_s` -> ends as internal error -> everything closes in reverse.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from upwhisk.cli.admin_backup import backup_operations
from upwhisk.cli.guest_key import GuestKey, ensure_guest, given_key, write_wskprops
from upwhisk.cli.health import StandaloneHealth
from upwhisk.cli.metrics import PoolMetrics
from upwhisk.cli.node_runtimes import NodeRuntimes
from upwhisk.cli.version import installed_version
from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.ids import new_instance_id
from upwhisk.common.plugins import load
from upwhisk.common.settings import Settings
from upwhisk.common.spi.bus import MessageBus
from upwhisk.common.spi.containers import ContainerFactory
from upwhisk.common.spi.nodes import NodeRegistry
from upwhisk.common.spi.store import ArtifactStore
from upwhisk.controller.admin import operations
from upwhisk.controller.api.admin_socket import AdminSocket
from upwhisk.controller.app import Controller, ControllerParts
from upwhisk.controller.auth import WatchedSubjects
from upwhisk.invoker.app import InvokerNode, NodeParts
from upwhisk.invoker.containers.bounds import GuestBounds, NetworkSettings
from upwhisk.loadbalancer.placement import POLICIES

log = structlog.get_logger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
API_SOCKET = "api.sock"
ADMIN_SOCKET = "admin.sock"


@dataclass(frozen=True, slots=True)
class Ready:
    """What a person is told when the platform is up."""

    url: str
    key: GuestKey
    wskprops: Path
    findings: tuple[str, ...]
    network: str


class Standalone:
    """`data` is the data folder. `run` returns after an orderly stop."""

    def __init__(self, settings: Settings, data: Path, *, auth_file: Path | None = None) -> None:
        self._settings = settings
        self._data = data
        self._auth_file = auth_file
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._node: InvokerNode | None = None

    async def run(self, ready: Callable[[Ready], None]) -> None:
        """`StartupError` if it cannot start; `ready` is called once it takes work."""
        self._check_listener()
        self._check_policy()
        given = given_key(self._auth_file)
        self._catch_signals()
        async with AsyncExitStack() as stack:
            store: ArtifactStore = load("store", self._settings.plugins.store)(
                self._data, self._settings.store, self._settings.retention
            )
            await stack.enter_async_context(store)
            key = await ensure_guest(store.subjects, given)
            controller, node = await self._start(stack, store)
            url = f"http://{_shown(self._settings.server.host)}:{controller.server.port}"
            wskprops = write_wskprops(self._data, url, key)
            ready(Ready(url, key, wskprops, self._findings, node.default_network.value))
            await self._stop.wait()
            await self._drain(controller, node)

    async def _start(self, stack: AsyncExitStack, store: ArtifactStore) -> tuple[Controller, InvokerNode]:
        settings = self._settings
        bus: MessageBus = await stack.enter_async_context(load("bus", settings.plugins.bus)())
        registry: NodeRegistry = await stack.enter_async_context(load("nodes", settings.plugins.nodes)(self._clock))
        logs = await stack.enter_async_context(load("logs", settings.plugins.logs)())
        runtimes = await asyncio.to_thread(NodeRuntimes.find, settings.guest)
        factory = self._factory(runtimes)
        parts = NodeParts(store, bus, registry, logs, factory, self._clock, runtimes.prewarm, store.journal)
        node = self._node = InvokerNode(parts, settings, version=installed_version())
        controller = Controller(
            ControllerParts(
                store=store,
                bus=bus,
                registry=registry,
                logs=logs,
                kinds=runtimes.kinds(lambda: factory.abilities),
                health=StandaloneHealth(store, registry, bus),
                clock=self._clock,
                phase_of=node.phase_of,
            ),
            settings,
            unix_path=str(self._data / API_SOCKET),
        )
        await stack.enter_async_context(node)
        assert node.pool is not None
        controller.metrics.register(PoolMetrics(node.pool.statistics))
        await stack.enter_async_context(controller)
        subjects = WatchedSubjects(store.subjects, controller.authenticator.forget)
        commands = {**operations(subjects), **backup_operations(store)}
        await stack.enter_async_context(AdminSocket(self._data / ADMIN_SOCKET, commands))
        self._findings = factory.findings()
        return controller, node

    def _factory(self, runtimes: NodeRuntimes) -> ContainerFactory:
        guest, node = self._settings.guest, self._settings.node
        bounds = GuestBounds(
            scratch_mb=guest.scratch_mb,
            processes=guest.processes,
            open_files=guest.open_files,
            cores=guest.cpu_cores,
            idle=node.kind == "harvest",
        )
        network = NetworkSettings(
            api=str(self._data / API_SOCKET), allow=guest.allow, forwarding=guest.ip_forwarding
        )
        factory: ContainerFactory = load("containers", self._settings.plugins.containers)(
            new_instance_id(), runtimes.run_dir, runtimes.installations, bounds, network, runtimes.missing
        )
        return factory

    def _check_listener(self) -> None:
        server = self._settings.server
        if server.host not in LOOPBACK and not server.insecure_http:
            raise ConfigurationError(
                "server.host",
                f"'{server.host}' is not loopback and this listener has no TLS: keys would travel readable. "
                "Put a TLS proxy before it, or allow it with --insecure-http",
            )

    def _check_policy(self) -> None:
        policy = self._settings.placement.policy
        if policy not in POLICIES:
            raise ConfigurationError("placement.policy", f"'{policy}' is unknown; available: {', '.join(POLICIES)}")

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._signalled)

    def _signalled(self) -> None:
        """The first signal drains, the second stops at once: what was accepted goes on at the next start."""
        if self._stop.is_set():
            log.warning("stopped at once", action="standalone.stopped_at_once")
            os._exit(130)
        self._stop.set()

    async def _drain(self, controller: Controller, node: InvokerNode) -> None:
        drain_s = self._settings.server.drain_s
        log.info("stopping", action="standalone.draining", deadline_s=drain_s)
        await controller.stop_accepting()
        if not await node.drain(drain_s):
            log.warning("ended what still ran", action="standalone.drain_late", deadline_s=drain_s)


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
