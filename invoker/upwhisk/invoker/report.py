"""What the node tells the registry: a heartbeat with its abilities, and what it holds warm."""

from __future__ import annotations

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import UpwhiskError
from upwhisk.common.resource import Resource
from upwhisk.common.spi.nodes import NodeRegistry, NodeReport, NodeState
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.pool.pool import Pool

log = structlog.get_logger(__name__)

INTERVAL_S = 2.0
TTL_S = 10.0
_WARM_NAMED = 256


class Heartbeat(Resource):
    """Joins at `start`, renews every 2 s, leaves at `aclose`. `base` holds what does not change."""

    def __init__(self, registry: NodeRegistry, base: NodeReport, pool: Pool, clock: Clock) -> None:
        self._registry = registry
        self._base = base
        self._pool = pool
        self._clock = clock
        self._tasks = TaskOwner("heartbeat")
        self.draining = False

    async def start(self) -> None:
        await self.beat()
        self._tasks.start(self._go_on(), "heartbeat")

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
        await self._registry.leave(self._base.node)

    async def beat(self) -> None:
        keys = self._pool.state.warm_keys()
        warm = tuple(f"{k.namespace}/{k.document_id}@{k.revision}" for k in list(keys)[:_WARM_NAMED])
        report = NodeReport(
            node=self._base.node,
            memory_mb=self._base.memory_mb,
            cores=self._base.cores,
            node_kind=self._base.node_kind,
            kinds=self._base.kinds,
            networks=self._base.networks,
            warm=warm,
            state=NodeState.DRAINING if self.draining else NodeState.HEALTHY,
            reason="the node is stopping" if self.draining else "",
            version=self._base.version,
        )
        await self._registry.heartbeat(report, ttl_s=TTL_S)

    async def _go_on(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            try:
                await self.beat()
            except UpwhiskError as error:
                log.warning("heartbeat failed", action="heartbeat.failed", reason=str(error))
