"""The live picture of the nodes: the registry's reports beside the balancer's own books."""

from __future__ import annotations

from collections.abc import Callable

from upwhisk.common.spi.nodes import NodeRegistry, NodeReport
from upwhisk.loadbalancer.books import NodeBook
from upwhisk.loadbalancer.placement import Node


class NodeView:
    """`nodes` is ordered by id. Books outlive a node's absence, so permits taken before it come back to them."""

    def __init__(self, registry: NodeRegistry) -> None:
        self._registry = registry
        self._books: dict[str, NodeBook] = {}
        self._end: Callable[[], None] | None = None
        self._changed: Callable[[], None] = _nothing
        self.nodes: tuple[Node, ...] = ()

    def start(self, changed: Callable[[], None]) -> None:
        """`changed` is called after every change of the picture."""
        self._changed = changed
        self._end = self._registry.watch(self._update)

    def close(self) -> None:
        if self._end is not None:
            self._end()
            self._end = None

    def book(self, node: str) -> NodeBook:
        return self._books[node]

    def _update(self, reports: tuple[NodeReport, ...]) -> None:
        nodes: list[Node] = []
        for report in reports:
            book = self._books.get(report.node)
            if book is None:
                book = self._books[report.node] = NodeBook(report.node, report.memory_mb)
            book.memory_mb = report.memory_mb
            nodes.append(Node(report, book))
        self.nodes = tuple(nodes)
        self._changed()


def _nothing() -> None:
    return None
