"""The whole platform in one process on embedded parts. The only module that may know every room.

Start: settings -> data folder -> store -> bus, registry -> controller (recovery, listener) -> node -> admin socket.
Stop (SIGTERM): 503 -> what runs has `drain_s` -> ends as internal error -> everything closes in reverse.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from upwhisk.cli.admin_backup import backup_operations
from upwhisk.cli.checks import check_embedded, check_listener, check_policy, shown_host
from upwhisk.cli.factories import make_factory
from upwhisk.cli.guest_key import GuestKey, ensure_guest, given_key, write_wskprops
from upwhisk.cli.health import StandaloneHealth
from upwhisk.cli.listener_security import security_of
from upwhisk.cli.metrics import ActivationMetrics, BalancerMetrics, PoolMetrics, process_collectors
from upwhisk.cli.node_runtimes import NodeRuntimes
from upwhisk.cli.processes import StopSignal, spare_the_collector, tell_manager
from upwhisk.cli.service_watch import ServiceWatch
from upwhisk.cli.version import installed_version
from upwhisk.common.clock import SystemClock
from upwhisk.common.plugins import load
from upwhisk.common.settings import Settings
from upwhisk.common.spi.bus import MessageBus
from upwhisk.common.spi.nodes import NodeRegistry
from upwhisk.common.spi.store import ArtifactStore
from upwhisk.controller.admin import operations
from upwhisk.controller.api.admin_socket import AdminSocket
from upwhisk.controller.api.server import ListenerSecurity
from upwhisk.controller.app import Controller, ControllerParts
from upwhisk.controller.auth import WatchedSubjects
from upwhisk.controller.catalog import Catalog
from upwhisk.invoker.app import InvokerNode, NodeParts

log = structlog.get_logger(__name__)

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
        self._stop = StopSignal()
        self._node: InvokerNode | None = None
        self._security = ListenerSecurity()

    async def run(self, ready: Callable[[Ready], None]) -> None:
        """`StartupError` if it cannot start; `ready` is called once it takes work."""
        check_listener(self._settings.server)
        check_policy(self._settings.placement)
        check_embedded(self._settings.plugins)
        given = given_key(self._auth_file)
        self._security = security_of(self._settings)
        self._stop.catch()
        async with AsyncExitStack() as stack:
            store: ArtifactStore = load("store", self._settings.plugins.store)(
                self._data, self._settings.store, self._settings.retention
            )
            await stack.enter_async_context(store)
            controller, node = await self._start(stack, store)
            # Last: a new key is shown once, and a start that fails shows nothing.
            key = await ensure_guest(WatchedSubjects(store.subjects, controller.authenticator.forget), given)
            url = f"{self._security.scheme}://{shown_host(self._settings.server.host)}:{controller.server.port}"
            wskprops = write_wskprops(self._data, url, key)
            spare_the_collector()
            ready(Ready(url, key, wskprops, self._findings, node.default_network.value))
            tell_manager("READY=1")
            await self._stop.wait()
            tell_manager("STOPPING=1")
            await self._drain(controller, node)

    async def _start(self, stack: AsyncExitStack, store: ArtifactStore) -> tuple[Controller, InvokerNode]:
        settings = self._settings
        bus: MessageBus = await stack.enter_async_context(load("bus", settings.plugins.bus)())
        registry: NodeRegistry = await stack.enter_async_context(load("nodes", settings.plugins.nodes)(self._clock))
        logs = await stack.enter_async_context(load("logs", settings.plugins.logs)())
        runtimes = await asyncio.to_thread(NodeRuntimes.find, settings)
        factory = make_factory(runtimes, str(self._data / API_SOCKET))
        catalog = Catalog(store.entities)
        parts = NodeParts(
            store, bus, registry, logs, factory, self._clock, runtimes.prewarm, store.journal, catalog.known
        )
        node = self._node = InvokerNode(parts, settings, version=installed_version())
        controller = self._controller(store, parts, runtimes, catalog)
        await stack.enter_async_context(node)
        await self._measure(stack, parts, controller, node)
        await stack.enter_async_context(controller)
        self._findings = (*([runtimes.note] if runtimes.note else ()), *factory.findings())
        await self._administer(stack, store, controller)
        return controller, node

    def _controller(
        self, store: ArtifactStore, shared: NodeParts, runtimes: NodeRuntimes, catalog: Catalog
    ) -> Controller:
        assert self._node is not None
        parts = ControllerParts(
            store=store,
            bus=shared.bus,
            registry=shared.registry,
            logs=shared.logs,
            kinds=runtimes.kinds(lambda: shared.factory.abilities),
            health=StandaloneHealth(store, shared.registry, shared.bus, shared.factory),
            clock=self._clock,
            phase_of=self._node.phase_of,
            security=self._security,
            catalog=catalog,
        )
        return Controller(parts, self._settings, unix_path=str(self._data / API_SOCKET))

    async def _measure(
        self, stack: AsyncExitStack, parts: NodeParts, controller: Controller, node: InvokerNode
    ) -> None:
        assert node.pool is not None
        assert node.runner is not None
        watch = await stack.enter_async_context(ServiceWatch({"store": parts.store.accepts_work, "containers": parts.factory.problem}, self._clock))
        for collector in (
            PoolMetrics(node.pool.statistics),
            ActivationMetrics(node.runner.tally),
            BalancerMetrics(controller.balancer),
            *process_collectors(),
            watch,
        ):
            controller.metrics.register(collector)

    async def _administer(self, stack: AsyncExitStack, store: ArtifactStore, controller: Controller) -> None:
        """`upwhisk admin` reaches a running platform through a socket in its data folder."""
        subjects = WatchedSubjects(store.subjects, controller.authenticator.forget)
        commands = {**operations(subjects), **backup_operations(store)}
        await stack.enter_async_context(AdminSocket(self._data / ADMIN_SOCKET, commands))

    async def _drain(self, controller: Controller, node: InvokerNode) -> None:
        drain_s = self._settings.server.drain_s
        log.info("stopping", action="standalone.draining", deadline_s=drain_s)
        await controller.stop_accepting()
        if not await node.drain(drain_s):
            log.warning("ended what still ran", action="standalone.drain_late", deadline_s=drain_s)
