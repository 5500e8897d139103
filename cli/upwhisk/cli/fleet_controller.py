"""One controller of a fleet: the REST API, the balancer and the log of what it accepted, in one process.

Start: settings -> documents, bus, registry -> its log -> nodes -> listener. Stop (SIGTERM): new calls get 503, who waits
is answered, and what is under way is left to the other controllers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

import structlog

from upwhisk.cli.checks import check_listener, check_policy, shown_host
from upwhisk.cli.fleet_health import FleetHealth
from upwhisk.cli.fleet_kinds import FleetKinds
from upwhisk.cli.fleet_metrics import DeliveryMetrics, NodesMetrics
from upwhisk.cli.fleet_parts import FleetParts, controller_name, parts_of
from upwhisk.cli.listener_security import security_of
from upwhisk.cli.metrics import BalancerMetrics, process_collectors
from upwhisk.cli.processes import StopSignal, tell_manager
from upwhisk.common.clock import SystemClock
from upwhisk.common.ids import ActivationId
from upwhisk.common.plugins import load
from upwhisk.common.resource import Resource
from upwhisk.common.settings import Settings
from upwhisk.controller.api.server import ListenerSecurity
from upwhisk.controller.app import Controller, ControllerParts, DeliveryPorts
from upwhisk.controller.delivery.fleet import FleetDelivery
from upwhisk.controller.delivery.hosting import Hosting, HostingPorts
from upwhisk.controller.delivery.recorder import Recorder
from upwhisk.controller.delivery.store import DeliveredStore
from upwhisk.controller.delivery.sweep import Retention, Sweep

log = structlog.get_logger(__name__)
_TOGETHER_S = 0.016
"""How long requests wait for company while calls are refused: a few per cent of goodput on two cores that guests share."""


@dataclass(frozen=True, slots=True)
class ControllerReady:
    """What a person is told when it is up."""

    url: str
    name: str
    nodes: int


class FleetController:
    """`run` returns after an orderly stop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._stop = StopSignal()
        self._name = controller_name(settings)
        self._security = ListenerSecurity()

    async def run(self, ready: Callable[[ControllerReady], None]) -> None:
        """`StartupError` if it cannot start; `ready` is called once it takes calls."""
        check_listener(self._settings.server)
        check_policy(self._settings.placement)
        self._security = security_of(self._settings)
        self._stop.catch()
        async with AsyncExitStack() as stack:
            parts = parts_of(self._settings)
            for part in (parts.documents, parts.bus, parts.registry):
                await stack.enter_async_context(part)
            controller = await self._start(stack, parts)
            url = f"{self._security.scheme}://{shown_host(self._settings.server.host)}:{controller.server.port}"
            ready(ControllerReady(url, self._name, len(await parts.registry.nodes())))
            tell_manager("READY=1")
            await self._stop.wait()
            tell_manager("STOPPING=1")
            log.info("stopping", action="controller.draining", deadline_s=self._settings.server.drain_s)
            await self._take_leave(controller)

    async def _take_leave(self, controller: Controller) -> None:
        """Who stands before it is told first; then nothing new is taken, and who waits is answered: in the end by an id."""
        controller.leave()
        await self._clock.sleep(self._settings.controller.leave_s)
        await controller.stop_accepting()
        if not await controller.wait_answered(self._settings.server.drain_s):
            log.warning("callers that wait get their ids", action="controller.drain_late", deadline_s=self._settings.server.drain_s)
            controller.end_waits()

    async def _start(self, stack: AsyncExitStack, parts: FleetParts) -> Controller:
        settings = self._settings
        recorder = await stack.enter_async_context(Recorder(parts.documents.activations))
        ports = HostingPorts(parts.bus, parts.registry, recorder, self._clock)
        hosting = Hosting(ports, self._name, lease_s=settings.controller.lease_s)
        store = DeliveredStore(parts.documents, parts.bus, hosting, recorder)
        kinds = FleetKinds(settings.guest, settings.docker.registries)
        stack.callback(parts.registry.watch(kinds.update))

        made = ControllerParts(
            store=store,
            bus=parts.bus,
            registry=parts.registry,
            logs=await stack.enter_async_context(load("logs", settings.plugins.logs)()),
            kinds=kinds,
            health=FleetHealth(parts, hosting, recorder),
            clock=self._clock,
            phase_of=partial(_phase_of, hosting),
            security=self._security,
            together_s=_TOGETHER_S,
            delivery=partial(self._delivery, store, hosting),
        )
        controller = Controller(made, settings)
        await self._measure(stack, parts, controller, DeliveryMetrics(hosting, recorder))
        await stack.enter_async_context(controller)
        retention = _retention(parts), settings.retention.interval_s
        await stack.enter_async_context(Sweep(parts.bus, parts.registry, self._clock, self._name, *retention))
        return controller

    def _delivery(self, store: DeliveredStore, hosting: Hosting, made: DeliveryPorts) -> Resource:
        fleet = FleetDelivery(store, hosting, made.balancer, made.recovery, made.sequences)
        return fleet.connect(
            self._clock, max_age_s=self._settings.queue.max_age_s, node_lease_s=self._settings.node.lease_s
        )

    async def _measure(
        self, stack: AsyncExitStack, parts: FleetParts, controller: Controller, delivery: DeliveryMetrics
    ) -> None:
        watch = await stack.enter_async_context(parts.watch())
        collectors = (BalancerMetrics(controller.balancer), delivery, NodesMetrics(parts.registry), *process_collectors(), watch)
        for collector in collectors:
            controller.metrics.register(collector)


def _phase_of(hosting: Hosting, id: ActivationId) -> str | None:
    work = next((each.ledger.pending[id] for each in hosting.logs() if id in each.ledger.pending), None)
    return "running" if work is not None and work.begun else None


def _retention(parts: FleetParts) -> Retention | None:
    retention = getattr(parts.documents, "retention", None)
    return None if retention is None else retention.sweep
