"""A node of a fleet on real classes, but for its containers: what an action does is scripted."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from fakes.line import Line
from fakes.logbus import Broker, LogBus
from fakes.virtual_time import LoopClock

from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.common.errors import UpwhiskError
from upwhisk.common.forms import Unreadable
from upwhisk.common.ids import NodeId, new_instance_id
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import Response, succeeded
from upwhisk.common.spi.bus import Delivery
from upwhisk.common.spi.nodes import NodeReport
from upwhisk.common.unfinished import fallback
from upwhisk.invoker.activation import Runner
from upwhisk.invoker.consumer import Consumer
from upwhisk.invoker.drains import Drains
from upwhisk.invoker.handback import BusHandback
from upwhisk.invoker.pool.pool import Pool
from upwhisk.invoker.report import Heartbeat, Pace
from upwhisk.invoker.standing import Standing

NODE_LEASE_S = 3.0
Behaviour = Callable[[ActivationMessage], Response]


@dataclass
class Ran:
    """One side effect."""

    id: str
    name: str
    node: str
    arguments: Any


class Gates:
    """Where lives wait: `shut` before a step (`begin`, `run`, `settle`) of an action, `open` lets them go on."""

    def __init__(self) -> None:
        self._shut: dict[tuple[str, str], asyncio.Event] = {}
        self.waiting: dict[tuple[str, str], int] = defaultdict(int)

    def shut(self, name: str, step: str) -> None:
        self._shut[name, step] = asyncio.Event()

    def open(self, name: str, step: str) -> None:
        self._shut.pop((name, step)).set()

    async def through(self, name: str, step: str) -> None:
        event = self._shut.get((name, step))
        if event is not None:
            self.waiting[name, step] += 1
            try:
                await event.wait()
            finally:
                self.waiting[name, step] -= 1


class ScriptedRunner:
    """`Runner` with a script in the place of pool and containers."""

    def __init__(self, node: FleetNode) -> None:
        self._node = node

    async def run(self, delivery: Delivery) -> None:
        message = delivery.message
        assert isinstance(message, ActivationMessage)
        node, name = self._node, message.action.name
        await node.gates.through(name, "begin")
        if node.handback.problem() is not None:  # as `Runner` does it with what gets no container
            await self.give_back(delivery)
            return
        if not await node.handback.begin(message):
            await self.give_back(delivery)
            return
        if node.breaks_off(message):
            await node.handback.give_back(message, started=True)
            delivery.done()
            return
        await node.gates.through(name, "run")
        response = node.run(message)
        await node.gates.through(name, "settle")
        record = fallback(message, response, now_ms=message.accepted_ms + 5, node=node.name, kind="python:3.11")
        await node.handback.settle(message, record)
        delivery.done()

    async def give_back(self, delivery: Delivery) -> None:
        message = delivery.message
        assert isinstance(message, ActivationMessage | Unreadable)
        await self._node.handback.give_back(message)
        delivery.done()


class _NothingWarm:
    class state:
        @staticmethod
        def warm_keys() -> frozenset[Any]:
            return frozenset()


class FleetNode:
    """`ran` is shared by all nodes: the world outside."""

    def __init__(
        self, broker: Broker, registry: MemoryRegistry, clock: LoopClock, name: str, ran: list[Ran], *, memory_mb: int
    ) -> None:
        self.name = name
        self.clock = clock
        self.ran = ran
        self.bus = LogBus(broker)
        self.line = Line(registry)
        self.gates = Gates()
        self.behaviours: dict[str, Behaviour] = {}
        self.breaks_off: Callable[[ActivationMessage], bool] = lambda message: False
        self.standing = Standing(NODE_LEASE_S, clock.monotonic, new_instance_id())
        self.problem: str | None = None
        """Why it can make no containers."""
        self.handback = BusHandback(self.bus, NodeId(name), self.standing, lambda: self.problem)
        runner = cast(Runner, ScriptedRunner(self))
        self.consumer = Consumer(self.bus, runner, NodeId(name), self.standing, credits=1000)
        self.drains = Drains(self.line, NodeId(name), clock, lambda: self.consumer.open, lambda why: None)
        base = NodeReport(node=NodeId(name), memory_mb=memory_mb, cores=2.0, kinds=("python:3.11",), tells_starts=True)
        pace = Pace(interval_s=NODE_LEASE_S / 3, ttl_s=NODE_LEASE_S)
        self.heartbeat = Heartbeat(self.line, base, cast(Pool, _NothingWarm()), self.standing, self.drains, pace)

        self.heartbeat.on_problem(lambda: self.problem)

    async def start(self) -> None:
        await self.bus.start()
        await self.consumer.start()
        await self.heartbeat.start()
        self.heartbeat.go_on(self.clock)

    def run(self, message: ActivationMessage) -> Response:
        self.ran.append(Ran(message.activation_id, message.action.name, self.name, message.arguments))
        behaviour = self.behaviours.get(message.action.name)
        return succeeded(message.arguments) if behaviour is None else behaviour(message)

    async def kill(self) -> None:
        self.bus.kill()
        self.line.is_cut = True
        await self._end()

    async def _end(self) -> None:
        await self.heartbeat._tasks.aclose(grace_s=0.0)
        await self.consumer._tasks.aclose(grace_s=0.0)
        await self.bus.aclose()

    async def stop(self) -> None:
        """As `InvokerNode` does it."""
        self.drains.stopping = True
        self.consumer.return_new()
        with contextlib.suppress(UpwhiskError):  # as `InvokerNode.drain`
            await self.heartbeat.beat()
        await self.consumer.wait_idle(5.0)
        await self.heartbeat.aclose()
        await self.consumer.aclose()
        await self.bus.aclose()
