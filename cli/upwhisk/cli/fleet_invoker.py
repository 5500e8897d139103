"""One node of a fleet: takes work from its topic, runs it in containers, answers to the controllers' logs.

Start: settings -> documents, bus, registry -> containers -> member. Stop (SIGTERM): no new work, what runs has `drain_s`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog
from prometheus_client.registry import Collector

from upwhisk.cli.api_door import ApiDoor
from upwhisk.cli.checks import check_metrics_listener
from upwhisk.cli.factories import make_factory
from upwhisk.cli.fleet_parts import node_name, parts_of
from upwhisk.cli.listener_security import security_of
from upwhisk.cli.metrics import ActivationMetrics, PoolMetrics, process_collectors
from upwhisk.cli.metrics_listener import MetricsListener
from upwhisk.cli.node_runtimes import NodeRuntimes
from upwhisk.cli.processes import StopSignal, tell_manager
from upwhisk.cli.version import installed_version
from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.plugins import load
from upwhisk.common.settings import Settings
from upwhisk.controller.api.server import ListenerSecurity
from upwhisk.invoker.app import InvokerNode, NodeParts

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InvokerReady:
    """What a person is told when the node is a member."""

    node: str
    kinds: tuple[str, ...]
    network: str
    findings: tuple[str, ...]
    metrics: str


class FleetInvoker:
    """`run` returns after an orderly stop."""

    def __init__(self, settings: Settings) -> None:
        node = msgspec.structs.replace(settings.node, name=node_name(settings))
        self._settings = msgspec.structs.replace(settings, node=node)
        self._clock = SystemClock()
        self._stop = StopSignal()

    async def run(self, ready: Callable[[InvokerReady], None]) -> None:
        """`StartupError` if it cannot start; `ready` is called once it can be given work."""
        settings = self._settings
        check_metrics_listener(settings)
        security = security_of(settings)
        self._stop.catch()
        async with AsyncExitStack() as stack:
            node, found = await self._start(stack, security)
            ready(found)
            tell_manager("READY=1")
            await self._stop.wait(node.displaced)
            tell_manager("STOPPING=1")
            log.info("stopping", action="invoker.draining", deadline_s=settings.server.drain_s)
            if not await node.drain(settings.server.drain_s):
                log.warning("ended what still ran", action="invoker.drain_late", deadline_s=settings.server.drain_s)
            if node.displaced.is_set():
                raise ConfigurationError("node.name", f"another process has taken the name '{settings.node.name}' of this node")

    async def _start(self, stack: AsyncExitStack, security: ListenerSecurity) -> tuple[InvokerNode, InvokerReady]:
        settings = self._settings
        parts = parts_of(settings)
        for part in (parts.documents, parts.bus, parts.registry):
            await stack.enter_async_context(part)
        runtimes = await asyncio.to_thread(NodeRuntimes.find, settings)
        door = await stack.enter_async_context(ApiDoor(_door_path(runtimes.run_dir, settings), settings.node))
        factory = make_factory(runtimes, str(door.path))
        logs = await stack.enter_async_context(load("logs", settings.plugins.logs)())
        listener = MetricsListener(settings.node.metrics_port, settings.node.metrics_host, security)
        metrics = await stack.enter_async_context(listener)
        made = NodeParts(parts.documents, parts.bus, parts.registry, logs, factory, self._clock, runtimes.prewarm)
        node = InvokerNode(made, settings, version=installed_version(), address=metrics.address)
        await stack.enter_async_context(node)
        for collector in (*_collectors(node), await stack.enter_async_context(parts.watch(containers=factory.problem))):
            metrics.register(collector)
        metrics.is_member = lambda: not node.displaced.is_set()
        kinds = tuple(sorted(factory.abilities.kinds))
        findings = (*([runtimes.note] if runtimes.note else ()), *factory.findings())
        return node, InvokerReady(settings.node.name, kinds, node.default_network.value, findings, metrics.address)


def _collectors(node: InvokerNode) -> list[Collector]:
    assert node.pool is not None, "it was started"
    assert node.runner is not None
    return [PoolMetrics(node.pool.statistics), ActivationMetrics(node.runner.tally), *process_collectors()]


def _door_path(run_dir: Path, settings: Settings) -> Path:
    return run_dir / f"api-{settings.node.name}.sock"
