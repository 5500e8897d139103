"""What the node tells the registry: a heartbeat with its abilities, and what it holds warm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import UpwhiskError
from upwhisk.common.ids import NodeId, process_of
from upwhisk.common.resource import Resource
from upwhisk.common.spi.nodes import NodeRegistry, NodeReport, NodeState
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.drains import Drains
from upwhisk.invoker.home import has_ended
from upwhisk.invoker.pool.pool import Pool
from upwhisk.invoker.standing import Standing

log = structlog.get_logger(__name__)

_WARM_NAMED = 256


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between heartbeats, and how long one is good for."""

    interval_s: float
    ttl_s: float


class Displaced(UpwhiskError):
    """Another process has this node's name."""

    def __init__(self, node: NodeId) -> None:
        self.node = node
        super().__init__(f"another process has the name of node '{node}'")


class Heartbeat(Resource):
    """Joins at `start`, renews at its pace, leaves at `aclose`. `base` holds what does not change."""

    def __init__(
        self, registry: NodeRegistry, base: NodeReport, pool: Pool, standing: Standing, drains: Drains, pace: Pace
    ) -> None:
        self._registry = registry
        self._base = base
        self._pool = pool
        self._standing = standing
        self._drains = drains
        self._pace = pace
        self._has_joined = False
        self._displaced: Callable[[], None] = lambda: None
        self._problem: Callable[[], str | None] = lambda: None
        self._tasks = TaskOwner("heartbeat")

    async def start(self) -> None:
        await self.beat()

    def go_on(self, clock: Clock) -> None:
        self._tasks.start(self._go_on(clock), "heartbeat")

    def on_displaced(self, notify: Callable[[], None]) -> None:
        self._displaced = notify

    def on_problem(self, problem: Callable[[], str | None]) -> None:
        """`problem` says why no container can be made: the node is reported as unhealthy as long as there is one."""
        self._problem = problem

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
        self._standing.resign()
        try:
            if not await self._is_displaced():
                await self._registry.leave(self._base.node)
        except UpwhiskError as error:
            log.warning("did not leave", action="heartbeat.leave", reason=str(error))

    async def beat(self) -> None:
        """`Displaced` if another process has taken the name: this one is no member any more, and will not be one."""
        if await self._is_displaced():
            self._standing.resign()
            raise Displaced(self._base.node)
        if self._standing.lapse():
            log.warning("membership was lost", action="heartbeat.lapsed", incarnation=self._standing.incarnation)
        sent_at = self._standing.now()
        await self._registry.heartbeat(self._report(), ttl_s=self._pace.ttl_s)
        self._standing.renewed(sent_at)

    async def _is_displaced(self) -> bool:
        """It may have been away for so long that its name was free. (A registry that was restored from a copy shows who had the
        name before, who has ended.)"""
        if not self._has_joined:
            self._has_joined = True
            return False
        found = await self._registry.report(self._base.node)
        if found is None or process_of(found.incarnation) == process_of(self._standing.incarnation):
            return False
        return not has_ended(found.home)

    def _report(self) -> NodeReport:
        keys = self._pool.state.warm_keys()
        warm = tuple(sorted(f"{k.namespace}/{k.document_id}@{k.revision}" for k in list(keys)[:_WARM_NAMED]))
        state, reason = self._state()
        return msgspec.structs.replace(
            self._base,
            warm=warm,
            state=state,
            reason=reason,
            incarnation=self._standing.incarnation,
        )

    def _state(self) -> tuple[NodeState, str]:
        drain, problem = self._drains.reason, self._problem()
        if drain is not None:
            return NodeState.DRAINING, f"{drain}; {problem}" if problem else drain
        return (NodeState.HEALTHY, "") if problem is None else (NodeState.UNHEALTHY, problem)

    async def _go_on(self, clock: Clock) -> None:
        while True:
            await clock.sleep(self._pace.interval_s)
            try:
                await self._drains.look()
                await self.beat()
            except Displaced as displaced:
                log.error("another process has this node's name", action="heartbeat.displaced", node=displaced.node)
                self._displaced()
                return
            except UpwhiskError as error:
                log.warning("heartbeat failed", action="heartbeat.failed", reason=str(error))
