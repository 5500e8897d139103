"""What one controller of a fleet does for all: topics that belong to nobody any more go (of logs that ended, of nodes that
were removed), and records that are too old or too many.

A late answer of a node makes the topic of a log anew that was removed, so this goes on for ever.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import UpwhiskError
from upwhisk.common.resource import Resource
from upwhisk.common.spi.bus import MessageBus, controller_topic, node_topic
from upwhisk.common.spi.nodes import NodeRegistry
from upwhisk.common.tasks import TaskOwner
from upwhisk.controller.delivery.hosting import LOGS, RETIRED

log = structlog.get_logger(__name__)

LEADER = "leader/sweep"
EVERY_S = 10.0
RETENTION_S = 60.0
KEPT_S = 600.0
"""A log that has ended keeps its topic so long, longer than any controller goes on without having seen the registry."""
_TTL_S = 15.0
Retention = Callable[[], Awaitable[int]]
"""Removes records; how many."""
_PREFIXES = (controller_topic(""), node_topic(""))


class Sweep(Resource):
    """`retention` removes records beyond their bounds; None for a store that does it by itself."""

    def __init__(
        self, bus: MessageBus, registry: NodeRegistry, clock: Clock, owner: str, retention: Retention | None
    ) -> None:
        self._bus = bus
        self._registry = registry
        self._clock = clock
        self._owner = owner
        self._retention = retention
        self._retained_at = float("-inf")
        self._orphans: set[str] = set()
        self._tasks = TaskOwner("sweep")

    async def start(self) -> None:
        self._tasks.start(self._go_on(), "sweep")

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)

    async def _go_on(self) -> None:
        while True:
            await self._clock.sleep(EVERY_S)
            try:
                claim = await self._registry.claim(LEADER, self._owner, ttl_s=_TTL_S)
                if claim is not None:
                    await self.sweep()
                    await self._retain()
            except UpwhiskError as error:
                log.info("not swept", action="sweep.failed", reason=str(error))

    async def sweep(self) -> int:
        """Remove what was nobody's at the last look too; how many topics went."""
        await self._forget_retired()
        wanted = {controller_topic(name.removeprefix(LOGS)) for name in await self._registry.flags(LOGS)}
        wanted |= {node_topic(report.node) for report in await self._registry.nodes()}
        found = {topic for prefix in _PREFIXES for topic in await self._bus.topics(prefix)}
        orphans = found - wanted
        gone = orphans & self._orphans
        for topic in gone:
            await self._bus.remove_topic(topic)
            log.info("topic removed", action="sweep.removed", topic=topic)
        self._orphans = orphans - gone
        return len(gone)

    async def _retain(self) -> None:
        now = self._clock.monotonic()
        if self._retention is not None and now - self._retained_at >= RETENTION_S:
            self._retained_at = now
            await self._retention()

    async def _forget_retired(self) -> None:
        now_ms = self._clock.now_ms()
        for name, text in (await self._registry.flags(LOGS)).items():
            since = text.removeprefix(RETIRED)
            if text.startswith(RETIRED) and since.isdigit() and now_ms - int(since) > KEPT_S * 1000:
                await self._registry.put_flag(name, None)
