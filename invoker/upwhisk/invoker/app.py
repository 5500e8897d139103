"""The composition root of a node: builds and connects everything that runs guests."""

from __future__ import annotations

import asyncio
import math
import os
from dataclasses import dataclass

import structlog

from upwhisk.common.clock import Clock, seconds_since_boot
from upwhisk.common.errors import UpwhiskError
from upwhisk.common.ids import NodeId, new_instance_id
from upwhisk.common.resource import Resource
from upwhisk.common.settings import Settings
from upwhisk.common.spi.bus import MessageBus
from upwhisk.common.spi.containers import ContainerFactory, ContainerSpec, Network
from upwhisk.common.spi.logs import LogStore
from upwhisk.common.spi.nodes import NodeRegistry, NodeReport
from upwhisk.common.spi.store import DocumentStore, Journal
from upwhisk.invoker.actions import ActionCache, KnownActions
from upwhisk.invoker.activation import Runner, RunnerPorts
from upwhisk.invoker.consumer import Consumer
from upwhisk.invoker.drains import Drains
from upwhisk.invoker.handback import BusHandback, Handback, StoreHandback
from upwhisk.invoker.home import home, take_name
from upwhisk.invoker.keys import KeyRing
from upwhisk.invoker.pool.pool import Pool
from upwhisk.invoker.pool.slots import PoolLimits
from upwhisk.invoker.report import Heartbeat, Pace
from upwhisk.invoker.standing import Standing

log = structlog.get_logger(__name__)

_CREDITS = 4096
"""Open activations on one node at most; its memory bounds them long before."""
_ON_ITS_WAY_S = 1.0
"""How long controllers may take to see that a node drains, and what they have sent to arrive."""
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class NodeParts:
    """What a node shares with the rest, chosen by name elsewhere. `prewarm`: kind -> how many to hold ready.
    `journal` and `known`: of a platform in one process; in a fleet None, outcomes go to the controllers' logs by the bus,
    and actions come from the store."""

    store: DocumentStore
    bus: MessageBus
    registry: NodeRegistry
    logs: LogStore
    factory: ContainerFactory
    clock: Clock
    prewarm: dict[str, int]
    journal: Journal | None = None
    known: KnownActions | None = None


class InvokerNode(Resource):
    """One invoker. `start` returns when the node is a member and can take work."""

    def __init__(self, parts: NodeParts, settings: Settings, *, version: str, address: str = "") -> None:
        self._parts = parts
        self._settings = settings
        self._version = version
        self._address = address
        self.pool: Pool | None = None
        self.runner: Runner | None = None
        self._consumer: Consumer | None = None
        self._heartbeat: Heartbeat | None = None
        self._drains: Drains | None = None
        lease_s = settings.node.lease_s if parts.journal is None else math.inf
        self.displaced = asyncio.Event()
        """Set when another process has taken this node's name: there is nothing left to do but to end."""
        self.standing = Standing(lease_s, seconds_since_boot, new_instance_id())

    @property
    def default_network(self) -> Network:
        """For actions that do not say: outbound where it works, else the platform's API alone."""
        chosen = self._settings.guest.network
        if chosen != "auto":
            return Network(chosen)
        networks = self._parts.factory.abilities.networks
        return next((n for n in (Network.OUTBOUND, Network.API) if n in networks), Network.NONE)

    async def start(self) -> None:
        parts, settings = self._parts, self._settings
        if parts.journal is None:
            await self._take_name()
        await parts.factory.start()
        memory_mb = settings.node.memory_mb or machine_memory_mb() // 2
        node = NodeId(settings.node.name)
        self.pool = Pool(parts.factory, self._pool_limits(memory_mb), parts.clock)
        self.runner = self._runner(node)
        consumer = self._consumer = Consumer(parts.bus, self.runner, node, self.standing, credits=_CREDITS)
        drains = self._drains = Drains(parts.registry, node, parts.clock, lambda: consumer.open, self._end_running)
        base = self._report(node, memory_mb)
        self._heartbeat = Heartbeat(parts.registry, base, self.pool, self.standing, drains, self._pace())
        await self.pool.start()
        await self._consumer.start()
        await drains.look()
        if parts.journal is None:
            await self._take_name()  # once more: starting took its time
        self._heartbeat.on_displaced(self.displaced.set)
        if parts.journal is None:  # else there is no node but this one, and `/health` says it of the containers
            self._heartbeat.on_problem(parts.factory.problem)
        await self._heartbeat.start()
        self._heartbeat.go_on(parts.clock)
        log.info("node ready", action="invoker.ready", node=node, memory_mb=memory_mb, network=self.default_network)

    async def _take_name(self) -> None:
        node, parts = self._settings.node, self._parts
        await take_name(parts.registry, NodeId(node.name), node.lease_s, parts.clock)

    def _runner(self, node: NodeId) -> Runner:
        parts = self._parts
        assert self.pool is not None
        ports = RunnerPorts(
            pool=self.pool,
            actions=ActionCache(parts.store.entities, self.default_network, parts.known),
            keys=KeyRing(parts.store.subjects, parts.clock),
            handback=self._handback(node),
            logs=parts.logs,
            clock=parts.clock,
        )
        return Runner(ports, node, result_bytes=self._settings.limits.result_bytes)

    def _handback(self, node: NodeId) -> Handback:
        parts = self._parts
        if parts.journal is not None:
            return StoreHandback(parts.journal, parts.bus, node)
        return BusHandback(parts.bus, node, self.standing, parts.factory.problem)

    def _pace(self) -> Pace:
        if self._parts.journal is not None:
            return Pace(interval_s=2.0, ttl_s=10.0)
        return Pace(interval_s=self._settings.node.lease_s / 3, ttl_s=self._settings.node.lease_s)

    def _end_running(self, why: str) -> None:
        """A drain's deadline has passed: what runs goes back if it may be run again, else ends as the platform's error. Or,
        without a reason, the drain is lifted."""
        assert self.runner is not None
        assert self.pool is not None
        self.runner.stopping = why
        if why:
            log.warning("what runs is ended", action="invoker.drain_over", reason=why, count=len(self.runner.running))
            self.pool.end_busy()

    @property
    def _stopped(self) -> str:
        who = "the platform" if self._parts.journal is not None else f"node '{self._settings.node.name}'"
        return f"{who} was stopped"

    def _pool_limits(self, memory_mb: int) -> PoolLimits:
        pool, abilities = self._settings.pool, self._parts.factory.abilities
        specs = {
            ContainerSpec(kind, self._settings.limits.memory.default, self.default_network): count
            for kind, count in self._parts.prewarm.items()
            if pool.prewarm and count > 0 and kind in abilities.kinds
        }
        return PoolLimits(
            memory_mb=memory_mb,
            starts_at_once=pool.starts_at_once,
            start_s=pool.start_s,
            freeze_after_s=pool.freeze_after_s,
            evict_after_s=pool.evict_after_s,
            prewarm=specs,
            can_freeze=abilities.freeze,
        )

    def _report(self, node: NodeId, memory_mb: int) -> NodeReport:
        abilities = self._parts.factory.abilities
        return NodeReport(
            node=node,
            memory_mb=memory_mb,
            cores=float(len(os.sched_getaffinity(0))),
            node_kind=self._settings.node.kind,
            kinds=tuple(sorted(abilities.kinds)),
            networks=tuple(sorted(n.value for n in abilities.networks)),
            version=self._version,
            address=self._address,
            images=abilities.images,
            tells_starts=True,
            home=home() if self._parts.journal is None else "",
            lease_s=self._settings.node.lease_s if self._parts.journal is None else 0.0,
        )

    def phase_of(self, id: str) -> str | None:
        return self.runner.running.get(id) if self.runner is not None else None

    async def drain(self, deadline_s: float) -> bool:
        """Take no more; wait for what runs; then end it. True if everything ended by itself. What controllers send before
        they see it is given back."""
        if self._consumer is None or self.runner is None or self._heartbeat is None or self._drains is None:
            return True
        self._drains.stopping = True
        self._consumer.return_new()
        await self._tell_now(self._heartbeat)
        if self._parts.journal is None:
            await self._parts.clock.sleep(_ON_ITS_WAY_S)
        if await self._consumer.wait_idle(deadline_s):
            return True
        self.runner.stopping = self._stopped
        assert self.pool is not None
        await self.pool.aclose()
        await self._consumer.wait_idle(5.0)
        return False

    async def _tell_now(self, heartbeat: Heartbeat) -> None:
        try:
            await heartbeat.beat()
        except UpwhiskError as error:
            log.warning("drain not told", action="invoker.drain", reason=str(error))

    async def aclose(self) -> None:
        if self.runner is not None:
            self.runner.stopping = self._stopped
        for part in (self._heartbeat, self._consumer, self.pool, self._parts.factory):
            if part is None:
                continue
            try:
                await asyncio.wait_for(part.aclose(), 15.0)
            except TimeoutError:
                log.error("did not stop in time", action="invoker.stop_late", part=type(part).__name__)


def machine_memory_mb() -> int:
    """Physical memory, or what the control group of this process allows if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            with open(limit, encoding="ascii") as stream:
                text = stream.read().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total // _MIB
