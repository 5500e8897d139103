"""A fleet in one process: several controllers and nodes on real classes, one broker, one registry, one store, one clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fakes.fleet_node import NODE_LEASE_S, FleetNode, Ran
from fakes.line import Line
from fakes.logbus import Broker, LogBus
from fakes.scripted import ScriptedKinds
from fakes.virtual_time import LoopClock

from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.backends.store.memory import MemoryStore
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.model.action import Action, Exec
from upwhisk.common.model.activation import Activation, decode_record
from upwhisk.common.model.identity import Identity
from upwhisk.common.model.limits import SystemLimits
from upwhisk.common.names import EntityName
from upwhisk.common.settings import QueueSettings, RetentionSettings
from upwhisk.common.spi.store import ActivationQuery, ActivationStore
from upwhisk.controller.admission import Admission
from upwhisk.controller.api.ports import Call, Invoked
from upwhisk.controller.catalog import Catalog
from upwhisk.controller.delivery.fleet import FleetDelivery
from upwhisk.controller.delivery.hosting import LOGS, Hosting, HostingPorts
from upwhisk.controller.delivery.orphans import RETIRED
from upwhisk.controller.delivery.recorder import Recorder
from upwhisk.controller.delivery.store import DeliveredStore
from upwhisk.controller.delivery.sweep import Sweep
from upwhisk.controller.fire import FirePorts, FireService
from upwhisk.controller.invocation import InvocationPorts, InvocationService
from upwhisk.controller.known_limits import KnownLimits
from upwhisk.controller.recovery import Recovery, RecoveryPorts
from upwhisk.controller.sequence import Sequences
from upwhisk.controller.sequence_run import SequencePorts
from upwhisk.loadbalancer.balancer import Balancer
from upwhisk.loadbalancer.nodeview import NodeView
from upwhisk.loadbalancer.pending import Pending

GUEST = Identity("guest", "guest", "23bc46b1-71f6-4ed5-8c54-816aa4f8c502")
LEASE_S = 3.0
_LOOK_S = 0.01


class Records(ActivationStore):
    """The store's records; while they are away nothing can be written or read."""

    def __init__(self, inner: ActivationStore) -> None:
        self.inner = inner
        self.is_away = False
        self.puts: list[list[str]] = []

    def _ask(self) -> ActivationStore:
        if self.is_away:
            raise StoreUnavailable("The document store is away.")
        return self.inner

    async def put(self, records: Sequence[Activation]) -> int:
        stored = await self._ask().put(records)
        self.puts.append([record.activation_id for record in records])
        return stored

    async def get(self, namespace: str, id: Any) -> bytes | None:
        return await self._ask().get(namespace, id)

    async def list(self, query: ActivationQuery) -> list[bytes]:
        return await self._ask().list(query)

    async def count(self, query: ActivationQuery) -> int:
        return await self._ask().count(query)


class FleetController:
    """One controller's process, without its listener."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.name = name
        self.bus, self.line = LogBus(fleet.broker), Line(fleet.registry)
        clock, queue = fleet.clock, fleet.queue
        self.recorder = Recorder(fleet.records)
        ports = HostingPorts(self.bus, self.line, self.recorder, clock, clock.monotonic)
        self.hosting = Hosting(ports, name, lease_s=LEASE_S)
        self.store = DeliveredStore(fleet.documents, self.bus, self.hosting, self.recorder)
        self.balancer = Balancer(self.bus, NodeView(self.line, clock), clock, queue, policy="warm")
        self.catalog = Catalog(fleet.documents.entities)
        admission = Admission(self.catalog, ScriptedKinds(), SystemLimits())
        limits = KnownLimits(fleet.documents.subjects, clock)
        self.sequences = Sequences(SequencePorts(self.store, self.catalog, self.balancer, clock, admission, limits, 50))
        self.recovery = Recovery(RecoveryPorts(self.store, self.balancer, self.sequences, clock, queue.max_age_s))
        self.invocations = InvocationService(
            InvocationPorts(self.store, self.balancer, self.sequences, clock, admission)
        )
        self.fires = FireService(FirePorts(self.store, self.catalog, self.balancer, self.sequences, clock, admission))
        self.delivery = FleetDelivery(self.store, self.hosting, self.balancer, self.recovery, self.sequences)
        self.delivery.connect(clock, max_age_s=queue.max_age_s, node_lease_s=NODE_LEASE_S)
        self.sweep = Sweep(self.bus, self.line, clock, name)
        self._ending: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self.bus.start()
        await self.recorder.start()
        self.balancer.on_expired(self._expired)
        await self.balancer.start()
        await self.delivery.start()
        await self.sweep.start()

    def _expired(self, pending: Pending) -> None:
        task = asyncio.get_running_loop().create_task(self.recovery.expire(pending))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def kill(self) -> None:
        """Its process dies: what it holds in the registry lapses when `Fleet.lapse` says so."""
        self.bus.kill()
        self.line.is_cut = True
        await self._close()

    async def stop(self) -> None:
        """In good order, as `Controller` does it."""
        self.balancer.stop()
        await asyncio.sleep(0)
        await self._close()

    async def _close(self) -> None:
        await self.sequences.aclose()
        for task in list(self._ending):
            task.cancel()
        await self.sweep.aclose()
        await self.delivery.aclose()
        await self.balancer.aclose()
        await self.recorder.aclose()
        await self.bus.aclose()

    # -- what callers do --------------------------------------------------------------------------------------------

    async def invoke(self, name: str, payload: Any = None, *, blocking: bool = True, wait_ms: int = 60_000) -> Invoked:
        action = await self.catalog.resolve(EntityName("guest", None, name))
        assert action is not None
        return await self.invocations.invoke(Call(GUEST, action, payload or {}, "tid", blocking, wait_ms, None))

    def call(self, name: str, payload: Any = None, **how: Any) -> asyncio.Task[Invoked]:
        """A caller in the background."""
        return asyncio.get_running_loop().create_task(self.invoke(name, payload, **how))

    async def record(self, id: str) -> Activation | None:
        data = await self.store.activations.get("guest", id)  # type: ignore[arg-type]
        return None if data is None else decode_record(data)

    @property
    def pending(self) -> dict[str, Any]:
        return {id_: work for log in self.hosting.logs() for id_, work in log.ledger.pending.items()}

    @property
    def booked_mb(self) -> int:
        return sum(node.book.used_mb for node in self.balancer.view.nodes)


class Fleet:
    def __init__(self, queue: QueueSettings) -> None:
        self.clock = LoopClock()
        self.broker = Broker()
        self.registry = MemoryRegistry(self.clock)
        self.documents = MemoryStore(retention=RetentionSettings(max_age_s=0))
        self.records = Records(self.documents.activations)
        self.documents.activations = self.records
        self.queue = queue
        self.ran: list[Ran] = []
        self.controllers: list[FleetController] = []
        self.nodes: list[FleetNode] = []

    async def controller(self, name: str) -> FleetController:
        made = FleetController(self, name)
        await made.start()
        self.controllers.append(made)
        return made

    async def node(self, name: str, *, memory_mb: int = 4096) -> FleetNode:
        made = FleetNode(self.broker, self.registry, self.clock, name, self.ran, memory_mb=memory_mb)
        await made.start()
        self.nodes.append(made)
        return made

    async def kill(self, member: FleetController | FleetNode) -> None:
        await member.kill()
        member.line.lapse()
        self._forget(member)

    async def stop(self, member: FleetController | FleetNode) -> None:
        await member.stop()
        self._forget(member)

    def _forget(self, member: FleetController | FleetNode) -> None:
        if isinstance(member, FleetController):
            self.controllers.remove(member)
        else:
            self.nodes.remove(member)

    async def action(self, name: str, *components: str, **fields: Any) -> Action:
        exec_ = Exec("sequence", components=tuple(f"/guest/{each}" for each in components))
        if not components:
            exec_ = Exec("python:3.11", code="x")
        catalog = Catalog(self.documents.entities)
        return await catalog.put(Action(name=EntityName("guest", None, name), exec=exec_, **fields))

    # -- time -------------------------------------------------------------------------------------------------------

    async def pass_time(self, seconds: float) -> None:
        """Everybody who lives goes on meanwhile."""
        await asyncio.sleep(seconds)

    async def until(self, condition: Callable[[], bool], *, within_s: float = 60.0) -> None:
        """`within_s` of the fleet's time."""

        async def asked() -> bool:
            return condition()

        await self.until_async(asked, within_s=within_s)

    async def until_async(self, condition: Callable[[], Awaitable[bool]], *, within_s: float = 60.0) -> None:
        deadline = self.clock.monotonic() + within_s
        while not await condition():
            assert self.clock.monotonic() < deadline, f"not within {within_s} s"
            await asyncio.sleep(_LOOK_S)

    async def recorded(self, id: str, by: FleetController) -> Activation:
        async def there() -> bool:
            return await by.record(id) is not None

        await self.until_async(there)
        record = await by.record(id)
        assert record is not None
        return record

    async def settled(self) -> None:
        """Nothing is under way, every record is stored, every permit is back."""
        try:
            await self.until(lambda: not self.unsettled(), within_s=120.0)
        except AssertionError:
            raise AssertionError(f"not settled: {self.unsettled()}") from None

    def unsettled(self) -> list[str]:
        hosted = {log.name for each in self.controllers for log in each.hosting.logs()}
        found = [f"{name} has no owner" for name in self.open_logs() if name not in hosted]
        for each in self.controllers:
            shown = {
                "in flight": each.balancer.in_flight,
                "queued": each.balancer.queued,
                "journalled": len(each.pending),
                "unstored": len(each.recorder),
                "booked": each.booked_mb,
                "busy logs": sum(not log.is_idle for log in each.hosting.logs()),
                "logs": abs(len(each.hosting.logs()) - 1),
            }
            found += [f"{each.name}: {what} {count}" for what, count in shown.items() if count]
        return found

    def runs(self, id: str | None = None, *, name: str | None = None) -> list[Ran]:
        return [one for one in self.ran if (id is None or one.id == id) and (name is None or one.name == name)]

    def open_logs(self) -> list[str]:
        """Those in which something may be under way, as the registry knows them."""
        flags = self.registry._flags
        return [n.removeprefix(LOGS) for n in sorted(flags) if n.startswith(LOGS) and not flags[n].startswith(RETIRED)]

    def logs(self) -> list[str]:
        return sorted(name for name in self.broker.topics if name.startswith("completed-"))


@asynccontextmanager
async def fleet(
    controllers: int = 2, nodes: int = 1, *, memory_mb: int = 4096, queue: QueueSettings | None = None
) -> AsyncIterator[Fleet]:
    """Controllers `c0`, `c1`, ... and nodes `n0`, `n1`, ..."""
    made = Fleet(queue or QueueSettings())
    await made.documents.start()
    async with made.registry:
        for number in range(nodes):
            await made.node(f"n{number}", memory_mb=memory_mb)
        for number in range(controllers):
            await made.controller(f"c{number}")
        try:
            yield made
        finally:
            made.broker.is_away, made.records.is_away = False, False
            for controller in list(made.controllers):
                await controller.kill()
            for node in list(made.nodes):
                await node.kill()
