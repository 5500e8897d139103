"""The nodes that this process answers for: registered once for each incarnation, renewed with each heartbeat.

What is registered names the incarnation that its check is of, and comes first: a report is believed only with a check of its own
(`picture.py`). The check of the process before would lapse in the midst of a new one's first work, which would be taken for lost
and still run.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import msgspec
from consul import Check

from upwhisk.backends.nodes.consul.link import Link
from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeReport

_FORGOTTEN_AFTER = "72h"
"""An offline node stays visible so long, unless it is removed."""


class Members:
    def __init__(self, link: Link, prefix: str) -> None:
        self._link = link
        self._prefix = prefix
        self._registered: dict[NodeId, tuple[str, float]] = {}
        self._told: dict[NodeId, bytes] = {}

    async def renew(self, report: NodeReport, ttl_s: float) -> bool:
        """Whether anything changed that others see at once. `Unavailable`: it is not renewed."""
        within_s = max(0.2, min(2.0, ttl_s / 2))
        if self._registered.get(report.node) == (report.incarnation, ttl_s):
            try:
                await self._pass(report.node, within_s)
                return await self._tell(report, within_s)
            except Unavailable:
                if self._link.problem is not None:
                    raise
                # Consul is there and knows nothing of us: it lost its state, or somebody removed this node.
                self._told.pop(report.node, None)
        await self._register(report, ttl_s, within_s)
        await self._tell(report, within_s)
        return True

    def forget(self, node: NodeId) -> None:
        """Others do not see it: with the next heartbeat it is registered anew, whatever the agent believes."""
        self._registered.pop(node, None)

    def is_held(self, node: NodeId, text: bytes) -> None:
        """What Consul holds of a node: if it is not what we told (it was restored from a copy), all is told again."""
        if self._told.get(node) != text:
            self._told.pop(node, None)
            self.forget(node)

    async def leave(self, node: NodeId) -> None:
        self._registered.pop(node, None)
        self._told.pop(node, None)
        service, key = self._service_id(node), self._key(node)
        await self._link.ask(lambda c: c.kv.delete(key))
        try:
            await self._link.ask(lambda c: c.agent.service.deregister(service))
        except Unavailable:
            if self._link.problem is not None:
                raise  # else: unknown nodes are ignored

    async def _tell(self, report: NodeReport, within_s: float) -> bool:
        text = msgspec.json.encode(report)
        if self._told.get(report.node) == text:
            return False
        key = self._key(report.node)
        await self._link.ask(lambda c: c.kv.put(key, text), within_s)
        self._told[report.node] = text
        return True

    async def _register(self, report: NodeReport, ttl_s: float, within_s: float) -> None:
        node = report.node
        name, service = f"{self._prefix}-invoker", self._service_id(node)
        check: dict[str, Any] = {
            **Check.ttl(f"{ttl_s:g}s"),
            "status": "passing",  # nobody is to see it critical before its first heartbeat
            "deregistercriticalserviceafter": _FORGOTTEN_AFTER,
        }
        # `at`: an agent tells the servers only of what differs from what it told them last, also if they were restored from a copy.
        at = f"{time.time_ns()}"
        meta = {"node": node, "ttl_s": f"{ttl_s:g}", "incarnation": report.incarnation, "at": at}
        await self._link.ask(
            lambda c: c.agent.service.register(name, service_id=service, check=check, meta=meta), within_s
        )
        self._registered[node] = report.incarnation, ttl_s
        await self._pass(node, within_s)

    async def _pass(self, node: NodeId, within_s: float) -> None:
        check = f"service:{self._service_id(node)}"
        if not await self._link.ask(lambda c: c.agent.check.ttl_pass(check), within_s):
            raise Unavailable(f"Consul does not know the node '{node}'.")

    def _service_id(self, node: NodeId) -> str:
        return f"{self._prefix}-invoker-{quote(node, safe='')}"

    def _key(self, node: NodeId) -> str:
        return f"{self._prefix}/nodes/{quote(node, safe='')}"
