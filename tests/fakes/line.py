"""One process's line to a registry that others use, too: it can be cut, and die with its process."""

from __future__ import annotations

from collections.abc import Callable

from upwhisk.backends.nodes.memory import MemoryClaim, MemoryRegistry
from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import Claim, NodeRegistry, NodeReport, Watcher


class Line(NodeRegistry):
    """While it `is_cut` nothing is asked or heard; the last picture stands."""

    def __init__(self, registry: MemoryRegistry) -> None:
        self._registry = registry
        self._watchers: list[Watcher] = []
        self._claims: list[MemoryClaim] = []
        self._is_cut = False

    async def start(self) -> None:
        """The registry is started by whoever made it."""

    async def aclose(self) -> None:
        """Nothing of its own."""

    @property
    def is_cut(self) -> bool:
        return self._is_cut

    @is_cut.setter
    def is_cut(self, cut: bool) -> None:
        self._is_cut = cut
        if not cut:
            for watcher in list(self._watchers):
                self._registry.watch(watcher)()

    def lapse(self) -> None:
        """The registry has heard nothing of this process for too long."""
        for claim in self._claims:
            claim.lapse()

    def _ask(self) -> MemoryRegistry:
        if self._is_cut:
            raise Unavailable("The registry is out of reach.")
        return self._registry

    async def heartbeat(self, report: NodeReport, *, ttl_s: float) -> None:
        await self._ask().heartbeat(report, ttl_s=ttl_s)

    async def leave(self, node: NodeId) -> None:
        await self._ask().leave(node)

    async def nodes(self) -> tuple[NodeReport, ...]:
        return await self._ask().nodes()

    async def report(self, node: NodeId) -> NodeReport | None:
        return await self._ask().report(node)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        def seen(reports: tuple[NodeReport, ...]) -> None:
            if not self._is_cut:
                watcher(reports)

        self._watchers.append(seen)
        end = self._registry.watch(seen)

        def ended() -> None:
            if seen in self._watchers:
                self._watchers.remove(seen)
            end()

        return ended

    async def put_flag(self, name: str, value: str | None) -> None:
        await self._ask().put_flag(name, value)

    async def flag(self, name: str) -> str | None:
        return await self._ask().flag(name)

    async def flags(self, prefix: str) -> dict[str, str]:
        return await self._ask().flags(prefix)

    async def claim(self, name: str, owner: str, *, ttl_s: float) -> Claim | None:
        claim = await self._ask().claim(name, owner, ttl_s=ttl_s)
        if claim is not None:
            self._claims.append(claim)
        return claim

    async def holders(self, prefix: str) -> dict[str, str]:
        return await self._ask().holders(prefix)

    def problem(self) -> str | None:
        return "it is out of reach" if self._is_cut else None
