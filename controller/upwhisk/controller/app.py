"""The composition root of a controller: builds and connects everything behind the REST API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog
from prometheus_client import CollectorRegistry

from upwhisk.common.clock import Clock
from upwhisk.common.ids import ActivationId
from upwhisk.common.resource import Resource
from upwhisk.common.settings import Settings
from upwhisk.common.spi.bus import MessageBus
from upwhisk.common.spi.logs import LogStore
from upwhisk.common.spi.nodes import NodeRegistry
from upwhisk.common.spi.store import ArtifactStore
from upwhisk.common.tasks import TaskOwner
from upwhisk.controller.admission import Admission
from upwhisk.controller.api.ports import Health, Services
from upwhisk.controller.api.routes import api_server
from upwhisk.controller.api.server import ApiServer, ListenerSecurity, ListenerSettings
from upwhisk.controller.auth import Authenticator
from upwhisk.controller.catalog import Catalog
from upwhisk.controller.fire import FirePorts, FireService
from upwhisk.controller.invocation import InvocationPorts, InvocationService
from upwhisk.controller.kinds import KindsPort
from upwhisk.controller.live import LiveView, PhaseOf
from upwhisk.controller.recovery import Recovery, RecoveryPorts
from upwhisk.controller.sequence import Sequences
from upwhisk.controller.sequence_run import SequencePorts
from upwhisk.loadbalancer.acks import Acks
from upwhisk.loadbalancer.balancer import Balancer
from upwhisk.loadbalancer.nodeview import NodeView
from upwhisk.loadbalancer.pending import Pending

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class DeliveryPorts:
    """What a delivery connects."""

    balancer: Balancer
    recovery: Recovery
    sequences: Sequences


MakeDelivery = Callable[[DeliveryPorts], Resource]


class EmbeddedDelivery(Resource):
    """In one process the store is the journal: what it holds is taken up once, at the start."""

    def __init__(self, bus: MessageBus, balancer: Balancer, recovery: Recovery) -> None:
        self._acks = Acks(bus, balancer, "0")
        self._recovery = recovery

    async def start(self) -> None:
        await self._acks.start()
        await self._recovery.run()

    async def aclose(self) -> None:
        await self._acks.aclose()


@dataclass(frozen=True, slots=True)
class ControllerParts:
    """What a controller shares with the rest, chosen by name elsewhere. `delivery`: a fleet's; None: of one process."""

    store: ArtifactStore
    bus: MessageBus
    registry: NodeRegistry
    logs: LogStore
    kinds: KindsPort
    health: Health
    clock: Clock
    phase_of: PhaseOf
    security: ListenerSecurity = field(default_factory=ListenerSecurity)
    delivery: MakeDelivery | None = None
    catalog: Catalog | None = None
    """One that a node in the same process reads too; None: its own."""
    together_s: float = 0.0
    """How long requests wait for company while calls are refused."""


class Controller(Resource):
    """One controller. `start` returns when it listens; accepted work of the last run goes on then."""

    def __init__(self, parts: ControllerParts, settings: Settings, *, unix_path: str | None = None) -> None:
        self._parts = parts
        self._settings = settings
        self._tasks = TaskOwner("controller")
        self.metrics = CollectorRegistry()
        self.authenticator = Authenticator(parts.store.subjects, parts.clock)
        view, policy = NodeView(parts.registry), settings.placement.policy
        self.balancer = Balancer(parts.bus, view, parts.clock, settings.queue, policy=policy)
        catalog = self._catalog = parts.catalog or Catalog(parts.store.entities)
        self._admission = Admission(catalog, parts.kinds, settings.limits)
        self._end_watch: Callable[[], None] = lambda: None
        self._sequences = Sequences(self._sequence_ports(catalog))
        self._recovery = Recovery(self._recovery_ports())
        self._invocations = InvocationService(
            InvocationPorts(parts.store, self.balancer, self._sequences, parts.clock, self._admission)
        )
        make = parts.delivery or (lambda ways: EmbeddedDelivery(parts.bus, ways.balancer, ways.recovery))
        self._delivery = make(DeliveryPorts(self.balancer, self._recovery, self._sequences))
        self.server = self._listener(self._services(catalog), unix_path)

    def _sequence_ports(self, catalog: Catalog) -> SequencePorts:
        return SequencePorts(
            store=self._parts.store,
            catalog=catalog,
            balancer=self.balancer,
            clock=self._parts.clock,
            admission=self._admission,
            limits=self.authenticator.limits,
            max_length=self._settings.limits.sequence_length,
        )

    def _recovery_ports(self) -> RecoveryPorts:
        return RecoveryPorts(
            store=self._parts.store,
            balancer=self.balancer,
            sequences=self._sequences,
            clock=self._parts.clock,
            max_age_s=self._settings.queue.max_age_s,
        )

    def _services(self, catalog: Catalog) -> Services:
        parts, balancer, sequences = self._parts, self.balancer, self._sequences
        store, clock = parts.store, parts.clock
        return Services(
            catalog=catalog,
            entities=store.entities,
            activations=store.activations,
            logs=parts.logs,
            invocations=self._invocations,
            fires=FireService(FirePorts(store, catalog, balancer, sequences, clock, self._admission)),
            live=LiveView(balancer, sequences, store.journal, clock, parts.phase_of),
            kinds=parts.kinds,
            nodes=parts.registry,
            health=parts.health,
            limits=self._settings.limits,
            clock=clock,
        )

    def _listener(self, services: Services, unix_path: str | None) -> ApiServer:
        server = self._settings.server
        listener = ListenerSettings(
            host=server.host,
            port=server.port,
            header_timeout_s=server.header_timeout_s,
            drain_s=5.0,
            together_s=self._parts.together_s,
            unix_path=unix_path,
            security=self._parts.security,
        )
        return api_server(listener, services, self.authenticator, self.metrics)

    async def start(self) -> None:
        self.balancer.on_expired(self._expired)
        self._end_watch = self._parts.store.watch(self._changed)
        await self.balancer.start()
        await self._delivery.start()
        await self.server.start()

    def _changed(self, document_id: str | None) -> None:
        """Another controller wrote: what is cached of it is stale."""
        self._catalog.forget(document_id)
        if document_id is None or "/" not in document_id or document_id.endswith("/limits"):
            self.authenticator.forget()

    def _expired(self, pending: Pending) -> None:
        self._tasks.start(self._recovery.expire(pending), "expire")

    def leave(self) -> None:
        """Who stands before it is told to send no more calls; those that come are taken."""
        self.server.leave()

    async def stop_accepting(self) -> None:
        """New requests get 503; who waits for work that has not started gets its id, which is durable by then, or in a fleet 503
        too, so that another controller is asked."""
        self.server.drain()
        self.balancer.stop()
        await asyncio.sleep(0)

    async def wait_answered(self, timeout_s: float) -> bool:
        """Wait until every caller that waits for work on a node has its answer; False if some have not."""
        return await self.balancer.work.wait_answered(timeout_s)

    def end_waits(self) -> None:
        """Who still waits for work on a node gets its id, durable by then."""
        self._invocations.end_waits()

    async def aclose(self) -> None:
        self.balancer.stopping = True
        self._end_watch()
        await self._sequences.aclose()
        await self.server.aclose()
        await self._tasks.aclose()
        await self._delivery.aclose()
        await self.balancer.aclose()

    def unfinished(self, id: ActivationId) -> bool:
        return self.balancer.work.find(id) is not None
