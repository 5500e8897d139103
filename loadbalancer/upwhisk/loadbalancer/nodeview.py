"""The live picture of the nodes: the registry's reports beside the balancer's own books."""

from __future__ import annotations

from collections.abc import Callable

from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeRegistry, NodeReport, NodeState
from upwhisk.loadbalancer.books import NodeBook
from upwhisk.loadbalancer.placement import Node

Lost = Callable[[str, str, str], None]
"""Told a node, the incarnation that is lost, and why."""


class NodeView:
    """`nodes` is ordered by id. Books outlive a node's absence, so permits taken before it come back to them."""

    def __init__(self, registry: NodeRegistry) -> None:
        self._registry = registry
        self._books: dict[str, NodeBook] = {}
        self._end: Callable[[], None] | None = None
        self._changed: Callable[[], None] = _nothing
        self._lost: Lost = _nobody
        self._living: dict[str, str] = {}
        self.nodes: tuple[Node, ...] = ()

    def start(self, changed: Callable[[], None]) -> None:
        """`changed` is called after every change of the picture."""
        self._changed = changed
        self._end = self._registry.watch(self._update)

    def close(self) -> None:
        if self._end is not None:
            self._end()
            self._end = None

    def on_lost(self, notify: Lost) -> None:
        self._lost = notify

    def share(self, controllers: int) -> None:
        self._controllers = controllers

    def incarnation(self, node: str) -> str:
        return self._living.get(node, "")

    def knows(self, node: str) -> bool:
        """Whether the registry lists it, be it as offline."""
        return any(each.report.node == node for each in self.nodes)

    def book(self, node: str) -> NodeBook:
        """Of a node nobody knows: a book without memory, for permits of work that is adopted."""
        book = self._books.get(node)
        if book is None:
            book = self._books[node] = NodeBook(node, 0)
        return book

    def _update(self, reports: tuple[NodeReport, ...]) -> None:
        nodes: list[Node] = []
        for report in reports:
            book = self._books.get(report.node)
            if book is None:
                book = self._books[report.node] = NodeBook(report.node, report.memory_mb)
            book.memory_mb = report.memory_mb
            nodes.append(Node(report, book))
        self.nodes = tuple(nodes)
        self._tell_lost(reports)
        self._changed()

    def _tell_lost(self, reports: tuple[NodeReport, ...]) -> None:
        before = self._living
        gone = {r.node: r.reason for r in reports if r.state is NodeState.OFFLINE}
        self._living = {r.node: r.incarnation for r in reports if r.state is not NodeState.OFFLINE}
        for node, incarnation in before.items():
            now = self._living.get(NodeId(node))
            if now != incarnation:
                reason = gone.get(NodeId(node), "it left") if now is None else "it was started again"
                self._lost(node, incarnation, reason)


def _nothing() -> None:
    return None


def _nobody(node: str, incarnation: str, reason: str) -> None:
    return None
