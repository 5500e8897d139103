"""What one controller of a fleet does for all: topics that belong to nobody any more go, and records that are too old or too
many.

A late answer of a node makes the topic of a removed log anew, and nodes leave their topics behind. A log that is not listed
is not thrown away but listed again: whoever takes it over finds out whether something in it is under way, also when the
registry has lost its memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import UpwhiskError
from upwhisk.common.ids import new_instance_id
from upwhisk.common.resource import Resource
from upwhisk.common.spi.bus import MessageBus, controller_topic, node_topic
from upwhisk.common.spi.nodes import Claim, NodeRegistry
from upwhisk.common.tasks import TaskOwner
from upwhisk.controller.delivery.hosting import LOGS
from upwhisk.controller.delivery.orphans import LEFT, RETIRED
from upwhisk.controller.delivery.ownership import REMOVED_AFTER_S

log = structlog.get_logger(__name__)

LEADER = "leader/sweep"
EVERY_S = 30.0
RETENTION_S = 60.0
"""Looking for records that have to go costs a document server a pass over all that is new: not more often than this."""
_TTL_S = 15.0
Retention = Callable[[], Awaitable[int]]
"""Removes records; how many."""


class Sweep(Resource):
    """`retention` removes records beyond their bounds, every `retention_s` at the most; None for a store that does it by
    itself."""

    def __init__(
        self,
        bus: MessageBus,
        registry: NodeRegistry,
        clock: Clock,
        owner: str,
        retention: Retention | None = None,
        retention_s: float = RETENTION_S,
    ) -> None:
        self._bus = bus
        self._registry = registry
        self._clock = clock
        self._owner = f"{owner}/{new_instance_id()}"
        self._retention = retention
        self._retention_s = max(RETENTION_S, retention_s)
        self._retained_at = float("-inf")
        self._claim: Claim | None = None
        self._strays: set[str] = set()
        self._retired: dict[str, float] = {}
        """Logs in which all has ended -> when that was seen first."""
        self._tasks = TaskOwner("sweep")

    async def start(self) -> None:
        self._tasks.start(self._go_on(), "sweep")

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
        if self._claim is not None:
            await self._claim.release()

    async def _go_on(self) -> None:
        while True:
            await self._clock.sleep(EVERY_S)
            try:
                if await self._leads():
                    await self.sweep()
                    await self._retain()
            except UpwhiskError as error:
                log.info("not swept", action="sweep.failed", reason=str(error))

    async def _leads(self) -> bool:
        if self._claim is None or self._claim.lost:
            self._strays, self._retired = set(), {}
            self._claim = await self._registry.claim(LEADER, self._owner, ttl_s=_TTL_S)
        return self._claim is not None

    async def sweep(self) -> int:
        """Clear up what was nobody's at the last look too; how many topics."""
        found = {*await self._bus.topics(controller_topic("")), *await self._bus.topics(node_topic(""))}
        flags = await self._registry.flags(LOGS)
        await self._remove_retired([name for name, text in flags.items() if text.startswith(RETIRED)])
        wanted = {controller_topic(name.removeprefix(LOGS)) for name in flags}
        wanted |= {node_topic(report.node) for report in await self._registry.nodes()}
        strays, before = found - wanted, self._strays
        self._strays = strays
        for topic in strays & before:
            await self._clear(topic)
        return len(strays & before)

    async def _clear(self, topic: str) -> None:
        """Work that was handed to a node that is gone is accounted for in the logs."""
        name = topic.removeprefix(controller_topic(""))
        if name != topic:
            await self._registry.put_flag(LOGS + name, LEFT)
        else:
            await self._bus.remove_topic(topic)
        log.info("swept", action="sweep.swept", topic=topic)

    async def _remove_retired(self, flags: list[str]) -> None:
        now = self._clock.monotonic()
        self._retired = {flag: self._retired.get(flag, now) for flag in flags}
        for flag in [each for each, since in self._retired.items() if now - since > REMOVED_AFTER_S]:
            await self._bus.remove_topic(controller_topic(flag.removeprefix(LOGS)))
            await self._registry.put_flag(flag, None)

    async def _retain(self) -> None:
        now = self._clock.monotonic()
        if self._retention is not None and now - self._retained_at >= self._retention_s:
            self._retained_at = now
            await self._retention()
