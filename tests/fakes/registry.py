"""A node registry on a dictionary; leases never end."""

from __future__ import annotations

from collections.abc import Callable

from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeRegistry, NodeReport, Watcher


class DictRegistry(NodeRegistry):
    def __init__(self) -> None:
        self._nodes: dict[NodeId, NodeReport] = {}
        self._flags: dict[str, str] = {}
        self._watchers: list[Watcher] = []

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    async def heartbeat(self, report: NodeReport, *, ttl_s: float) -> None:
        self._nodes[report.node] = report
        self._tell()

    async def leave(self, node: NodeId) -> None:
        self._nodes.pop(node, None)
        self._tell()

    async def nodes(self) -> tuple[NodeReport, ...]:
        return tuple(report for _, report in sorted(self._nodes.items()))

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self._watchers.append(watcher)
        watcher(tuple(self._nodes.values()))
        return lambda: self._watchers.remove(watcher)

    async def put_flag(self, name: str, value: str | None) -> None:
        if value is None:
            self._flags.pop(name, None)
        else:
            self._flags[name] = value

    async def flag(self, name: str) -> str | None:
        return self._flags.get(name)

    def _tell(self) -> None:
        for watcher in self._watchers:
            watcher(tuple(self._nodes.values()))
