"""What the node tells the registry: a heartbeat with its abilities, and what it holds warm."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import UpwhiskError
from upwhisk.common.resource import Resource
from upwhisk.common.spi.nodes import NodeRegistry, NodeReport, NodeState
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.drains import Drains
from upwhisk.invoker.pool.pool import Pool
from upwhisk.invoker.standing import Standing

log = structlog.get_logger(__name__)

_WARM_NAMED = 256


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds between heartbeats, and how long one is good for."""

    interval_s: float
    ttl_s: float


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
        self._tasks = TaskOwner("heartbeat")

    async def start(self) -> None:
        await self.beat()

    def go_on(self, clock: Clock) -> None:
        self._tasks.start(self._go_on(clock), "heartbeat")

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
        self._standing.resign()
        try:
            await self._registry.leave(self._base.node)
        except UpwhiskError as error:
            log.warning("did not leave", action="heartbeat.leave", reason=str(error))

    async def beat(self) -> None:
        if self._standing.lapse():
            log.warning("membership was lost", action="heartbeat.lapsed", incarnation=self._standing.incarnation)
        sent_at = self._standing.now()
        await self._registry.heartbeat(self._report(), ttl_s=self._pace.ttl_s)
        self._standing.renewed(sent_at)

    def _report(self) -> NodeReport:
        keys = self._pool.state.warm_keys()
        warm = tuple(sorted(f"{k.namespace}/{k.document_id}@{k.revision}" for k in list(keys)[:_WARM_NAMED]))
        reason = self._drains.reason
        return msgspec.structs.replace(
            self._base,
            warm=warm,
            state=NodeState.HEALTHY if reason is None else NodeState.DRAINING,
            reason=reason or "",
            incarnation=self._standing.incarnation,
        )

    async def _go_on(self, clock: Clock) -> None:
        while True:
            await clock.sleep(self._pace.interval_s)
            try:
                await self._drains.look()
                await self.beat()
            except UpwhiskError as error:
                log.warning("heartbeat failed", action="heartbeat.failed", reason=str(error))
