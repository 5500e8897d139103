"""A registry whose times to live are a fraction of what is asked for: for those that live on real time."""

from __future__ import annotations

from collections.abc import Callable

from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import Claim, NodeRegistry, NodeReport, Watcher


class Scaled(NodeRegistry):
    def __init__(self, inner: NodeRegistry, scale: float) -> None:
        self.inner = inner
        self._scale = scale

    async def start(self) -> None:
        await self.inner.start()

    async def aclose(self) -> None:
        await self.inner.aclose()

    async def heartbeat(self, report: NodeReport, *, ttl_s: float) -> None:
        await self.inner.heartbeat(report, ttl_s=ttl_s * self._scale)

    async def leave(self, node: NodeId) -> None:
        await self.inner.leave(node)

    async def report(self, node: NodeId) -> NodeReport | None:
        return await self.inner.report(node)

    async def nodes(self) -> tuple[NodeReport, ...]:
        return await self.inner.nodes()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        return self.inner.watch(watcher)

    async def put_flag(self, name: str, value: str | None) -> None:
        await self.inner.put_flag(name, value)

    async def flag(self, name: str) -> str | None:
        return await self.inner.flag(name)

    async def flags(self, prefix: str) -> dict[str, str]:
        return await self.inner.flags(prefix)

    async def claim(self, name: str, owner: str, *, ttl_s: float) -> Claim | None:
        return await self.inner.claim(name, owner, ttl_s=ttl_s * self._scale)

    async def holders(self, prefix: str) -> dict[str, str]:
        return await self.inner.holders(prefix)

    def problem(self) -> str | None:
        return self.inner.problem()
