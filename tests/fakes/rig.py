"""A controller's insides on the embedded fakes, with a scripted node behind the bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fakes.scripted import ScriptedKinds

from upwhisk.backends.bus.memory import MemoryBus
from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.backends.store.memory import MemoryStore
from upwhisk.common.clock import SystemClock
from upwhisk.common.ids import NodeId, new_instance_id
from upwhisk.common.messages import ActivationMessage, Completion
from upwhisk.common.model.action import Action, Exec
from upwhisk.common.model.activation import Activation, Response, Status, failed, succeeded
from upwhisk.common.model.identity import Identity
from upwhisk.common.model.limits import ActionLimits, SystemLimits
from upwhisk.common.names import EntityName
from upwhisk.common.settings import QueueSettings, RetentionSettings
from upwhisk.common.spi.bus import Delivery, controller_topic, node_topic
from upwhisk.common.spi.nodes import NodeReport
from upwhisk.common.unfinished import fallback
from upwhisk.controller.admission import Admission
from upwhisk.controller.api.ports import Call, Invoked
from upwhisk.controller.catalog import Catalog
from upwhisk.controller.fire import FirePorts, FireService
from upwhisk.controller.invocation import InvocationPorts, InvocationService
from upwhisk.controller.known_limits import KnownLimits
from upwhisk.controller.recovery import Recovery, RecoveryPorts
from upwhisk.controller.sequence import Sequences
from upwhisk.controller.sequence_run import SequencePorts
from upwhisk.loadbalancer.acks import Acks
from upwhisk.loadbalancer.balancer import Balancer
from upwhisk.loadbalancer.nodeview import NodeView

GUEST = Identity("guest", "guest", "23bc46b1-71f6-4ed5-8c54-816aa4f8c502")
Behaviour = Callable[[ActivationMessage], Response | None]
"""What a run gives; None: the node holds it until `ScriptedNode.finish`."""


def echo(message: ActivationMessage) -> Response:
    return succeeded(message.arguments)


@dataclass
class ScriptedNode:
    """Runs activations by name. `ran` lists (name, arguments) in order of their runs."""

    store: MemoryStore
    bus: MemoryBus
    memory_mb: int
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    ran: list[tuple[str, Any]] = field(default_factory=list)
    held: list[ActivationMessage] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def deliver(self, delivery: Delivery) -> None:
        message = delivery.message
        assert isinstance(message, ActivationMessage)
        self.ran.append((message.action.name, message.arguments))
        delivery.done()
        response = self.behaviours.get(message.action.name, echo)(message)
        if response is None:
            self.held.append(message)
        else:
            self.answer(message, response)

    def answer(self, message: ActivationMessage, response: Response) -> None:
        task = asyncio.get_running_loop().create_task(self._answer(message, response))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, message: ActivationMessage, response: Response) -> None:
        if message.journalled:
            await self.store.journal.begin(message.activation_id, message.attempt)
        record = fallback(message, response, now_ms=message.accepted_ms + 5, kind="python:3.11")
        await self.store.journal.settle(record)
        await self.bus.send(
            controller_topic(message.controller),
            Completion(
                activation_id=message.activation_id,
                node=NodeId("0"),
                attempt=1,
                dispatch=message.dispatch,
                record=record,
            ),
        )


def _report(memory_mb: int) -> NodeReport:
    return NodeReport(node=NodeId("0"), memory_mb=memory_mb, cores=2.0, incarnation=new_instance_id())


@dataclass
class Rig:
    store: MemoryStore
    bus: MemoryBus
    node: ScriptedNode
    catalog: Catalog
    balancer: Balancer
    sequences: Sequences
    invocations: InvocationService
    fires: FireService
    recovery: Recovery
    limits: KnownLimits

    async def action(self, name: str, *components: str, **fields: Any) -> Action:
        exec_ = Exec("sequence", components=tuple(f"/guest/{c}" for c in components))
        if not components:
            exec_ = Exec("python:3.11", code="x")
        return await self.catalog.put(Action(name=EntityName("guest", None, name), exec=exec_, **fields))

    async def invoke(
        self, name: str, payload: Any = None, *, blocking: bool = True, wait_ms: int = 5000
    ) -> Invoked:
        action = await self.catalog.resolve(EntityName("guest", None, name))
        assert action is not None
        return await self.invocations.invoke(Call(GUEST, action, payload or {}, "tid", blocking, wait_ms, None))

    async def record(self, id: str) -> Activation | None:
        from upwhisk.common.model.activation import decode_record

        data = await self.store.activations.get("guest", id)  # type: ignore[arg-type]
        return decode_record(data) if data is not None else None


@asynccontextmanager
async def rig(
    store: MemoryStore | None = None, *, memory_mb: int = 4096, queue: QueueSettings | None = None
) -> AsyncIterator[Rig]:
    """`store` may be one that an earlier rig left behind: then this is the start after a crash."""
    kept = store if store is not None else MemoryStore(retention=RetentionSettings(max_age_s=0))
    if store is None:
        await kept.start()
    clock, bus, registry = SystemClock(), MemoryBus(), MemoryRegistry()
    settings = queue or QueueSettings()
    async with bus, registry:
        balancer = Balancer(bus, NodeView(registry), clock, settings, policy="warm")
        acks = Acks(bus, balancer, "0")
        catalog = Catalog(kept.entities)
        admission = Admission(catalog, ScriptedKinds(), SystemLimits())
        limits = KnownLimits(kept.subjects, clock)
        sequences = Sequences(SequencePorts(kept, catalog, balancer, clock, admission, limits, max_length=50))
        made = Rig(
            kept,
            bus,
            ScriptedNode(kept, bus, memory_mb),
            catalog,
            balancer,
            sequences,
            InvocationService(InvocationPorts(kept, balancer, sequences, clock, admission)),
            FireService(FirePorts(kept, catalog, balancer, sequences, clock, admission)),
            Recovery(RecoveryPorts(kept, balancer, sequences, clock, settings.max_age_s)),
            limits,
        )
        subscription = bus.subscribe(node_topic("0"), made.node.deliver, credits=1000)
        await balancer.start()
        await acks.start()
        await subscription.start()
        await registry.heartbeat(_report(memory_mb), ttl_s=60)
        try:
            yield made
        finally:
            await sequences.aclose()
            await acks.aclose()
            await balancer.aclose()
            await subscription.aclose()


__all__ = ["GUEST", "ActionLimits", "Rig", "ScriptedNode", "Status", "echo", "failed", "rig", "succeeded"]
