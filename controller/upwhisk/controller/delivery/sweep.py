"""Topics that nobody answers for any more: one controller of the fleet looks for them now and then.

A late answer of a node makes the topic of a removed log anew, and nodes leave their topics behind. A log that is not listed
is not thrown away but listed again: whoever takes it over finds out whether something in it is under way.
"""

from __future__ import annotations

import structlog

from upwhisk.common.errors import UpwhiskError
from upwhisk.common.resource import Resource
from upwhisk.common.spi.bus import controller_topic, node_topic
from upwhisk.common.spi.nodes import Claim
from upwhisk.common.tasks import TaskOwner
from upwhisk.controller.delivery.hosting import LOGS, HostingPorts
from upwhisk.controller.delivery.orphans import LEFT

log = structlog.get_logger(__name__)

SWEEPER = "leader/sweep"
EVERY_S = 30.0


class Sweep(Resource):
    """`owner`: in whose name the claim is held. A topic has to be nobody's twice in a row."""

    def __init__(self, ports: HostingPorts, owner: str, *, lease_s: float) -> None:
        self._ports = ports
        self._owner = owner
        self._lease_s = lease_s
        self._claim: Claim | None = None
        self._suspects: set[str] = set()
        self._tasks = TaskOwner("sweep")

    async def start(self) -> None:
        self._tasks.start(self._go_on(), "sweep")

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
        if self._claim is not None:
            await self._claim.release()

    async def _go_on(self) -> None:
        while True:
            await self._ports.clock.sleep(EVERY_S)
            try:
                await self.look()
            except UpwhiskError as error:
                log.warning("topics not swept", action="sweep.failed", reason=str(error))

    async def look(self) -> None:
        if self._claim is None or self._claim.lost:
            self._suspects = set()
            self._claim = await self._ports.registry.claim(SWEEPER, self._owner, ttl_s=self._lease_s)
        if self._claim is None:
            return
        stray = await self._stray()
        for topic in stray & self._suspects:
            await self._take_away(topic)
        self._suspects = stray

    async def _stray(self) -> set[str]:
        registry, bus = self._ports.registry, self._ports.bus
        topics = {*await bus.topics(controller_topic("")), *await bus.topics(node_topic(""))}
        logs = {controller_topic(name.removeprefix(LOGS)) for name in await registry.flags(LOGS)}
        return topics - logs - {node_topic(each.node) for each in await registry.nodes()}

    async def _take_away(self, topic: str) -> None:
        """Work that was handed to a node that is gone is accounted for in the logs."""
        name = topic.removeprefix(controller_topic(""))
        if name != topic:
            await self._ports.registry.put_flag(LOGS + name, LEFT)
        else:
            await self._ports.bus.remove_topic(topic)
        log.info("swept", action="sweep.swept", topic=topic)
