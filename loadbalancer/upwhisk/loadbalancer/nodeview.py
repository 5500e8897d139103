"""The live picture of the nodes: the registry's reports, this controller's own judgement of them, and its books."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from upwhisk.common.clock import Clock, SystemClock
from upwhisk.common.spi.nodes import NodeRegistry, NodeReport, NodeState
from upwhisk.loadbalancer.books import NodeBook
from upwhisk.loadbalancer.fleet import Fleet
from upwhisk.loadbalancer.node import Node
from upwhisk.loadbalancer.tally import Outcome, Tally

log = structlog.get_logger(__name__)

Lost = Callable[[str, str, str], None]
"""Called with the node, its incarnation that is lost, and the reason."""


class NodeView:
    """Books outlive a node's absence while permits are out, so permits taken before it come back to them."""

    def __init__(self, registry: NodeRegistry, clock: Clock | None = None) -> None:
        self._registry = registry
        self._clock = clock or SystemClock()
        self._fleet = Fleet()
        self._controllers = 1
        self._reports: dict[str, NodeReport] = {}
        self._books: dict[str, NodeBook] = {}
        self._tallies: dict[str, Tally] = {}
        self._retries: dict[str, float] = {}
        """Nodes that this controller holds something against -> when an activation may try them."""
        self._next_retry = math.inf
        self._away_since: float | None = None
        self._end: Callable[[], None] | None = None
        self._changed: Callable[[], None] = _nothing
        self._lost: list[Lost] = []

    def start(self, changed: Callable[[], None]) -> None:
        """`changed` is called after every change of the picture."""
        self._changed = changed
        self._end = self._registry.watch(self._update)

    def close(self) -> None:
        if self._end is not None:
            self._end()
            self._end = None

    def on_lost(self, lost: Lost) -> None:
        """`lost` is called once when a node goes offline, leaves, or is there as another incarnation, with the incarnation
        that is no more. The permits of its work are the callee's to release; the picture is up to date by then."""
        self._lost.append(lost)

    # -- what is asked of it --------------------------------------------------------------------------------------

    @property
    def fleet(self) -> Fleet:
        """For `place`."""
        if self._next_retry is not math.inf and self._clock.monotonic() >= self._next_retry:
            self._open_due()
        return self._fleet

    @property
    def nodes(self) -> Sequence[Node]:
        """Ordered by id."""
        return self._fleet.nodes

    def book(self, node: str) -> NodeBook:
        """Of a node nobody knows: a book without memory, for permits of work that is adopted."""
        book = self._books.get(node)
        if book is None:
            book = self._books[node] = NodeBook(node, 0, controllers=self._controllers)
        return book

    def knows(self, node: str) -> bool:
        """Whether the registry lists it, be it as offline."""
        return node in self._reports

    def incarnation(self, node: str) -> str | None:
        """Of a member that is not offline; else None."""
        report = self._reports.get(node)
        return None if report is None or report.state is NodeState.OFFLINE else report.incarnation

    def tells_starts(self, node: str) -> bool:
        """Whether it says of all work when it starts it."""
        report = self._reports.get(node)
        return report is not None and report.tells_starts

    def away(self, for_s: float) -> str | None:
        """Why the registry is out of reach, if it is and has been for so long."""
        problem, now = self._registry.problem(), self._clock.monotonic()
        if problem is None:
            self._away_since = None
            return None
        self._away_since = now if self._away_since is None else self._away_since
        return problem if now - self._away_since >= for_s else None

    # -- what it is told ------------------------------------------------------------------------------------------

    @property
    def controllers(self) -> int:
        """How many share the nodes."""
        return self._controllers

    def share(self, controllers: int) -> None:
        """How many controllers share the nodes, this one included: each books an equal part of each. What is booked
        beyond a smaller part stays until its permits are back."""
        if controllers < 1:
            raise ValueError(f"{controllers} controllers cannot share nodes")
        if controllers == self._controllers:
            return
        log.info("the nodes are shared anew", action="nodes.shared", controllers=controllers)
        self._controllers = controllers
        for book in self._books.values():
            book.resize(book.memory_mb, controllers)
        self._changed()

    def report_outcome(self, node: str, outcome: Outcome, *, incarnation: str | None = None) -> None:
        """How an activation ended on `node`. One of another incarnation than the present says nothing of it."""
        report = self._reports.get(node)
        if report is None or (incarnation is not None and incarnation != report.incarnation):
            return
        tally = self._tallies.get(node)
        if tally is None:
            tally = self._tallies[node] = Tally()
        if tally.record(outcome, self._clock.monotonic()):
            log.warning(
                "a node is judged anew",
                action="nodes.judged",
                node=node,
                state=tally.state.value if tally.state is not None else "trusted",
                reason=tally.reason,
            )
            self._judge(report)
            self._changed()

    # -- the registry's reports -----------------------------------------------------------------------------------

    def _update(self, reports: tuple[NodeReport, ...]) -> None:
        """All of them come with each change; only what differs is looked at."""
        known, changed = self._reports, False
        lost: list[tuple[str, str, str]] = []
        for report in reports:
            old = known.get(report.node)
            if old is report or old == report:
                continue
            known[report.node] = report
            changed = True
            if old is not None and (gone := _gone(old, report)) is not None:
                lost.append((report.node, old.incarnation, gone))
            self._heard(report, old)
        if len(known) != len(reports):
            changed = True
            for node in known.keys() - {report.node for report in reports}:
                old = known.pop(node)
                if old.state is not NodeState.OFFLINE:
                    lost.append((node, old.incarnation, "it left"))
                self._left(node)
            self._forget_books()
        self._tell(lost, changed)

    def _heard(self, report: NodeReport, old: NodeReport | None) -> None:
        book = self.book(report.node)
        if book.memory_mb != report.memory_mb:
            book.resize(report.memory_mb, self._controllers)
        if old is None or old.state is NodeState.OFFLINE or old.incarnation != report.incarnation:
            self._tallies.pop(report.node, None)
        self._judge(report)

    def _left(self, node: str) -> None:
        self._fleet.remove(node)
        self._tallies.pop(node, None)
        self._watch_retry(node, None)
        self._books[node].on_take = None

    def _forget_books(self) -> None:
        """Those of nodes that are no members, once their permits are back."""
        for absent in [one for one, book in self._books.items() if one not in self._reports and not book.permits]:
            del self._books[absent]

    def _tell(self, lost: list[tuple[str, str, str]], changed: bool) -> None:
        for node, incarnation, reason in lost:
            log.warning("a node is lost", action="nodes.lost", node=node, incarnation=incarnation, reason=reason)
            for callback in self._lost:
                callback(node, incarnation, reason)
        if changed:
            self._changed()

    # -- its own judgement ----------------------------------------------------------------------------------------

    def _judge(self, report: NodeReport) -> None:
        """Have placement go by what is known of the node now."""
        node, tally, now = report.node, self._tallies.get(report.node), self._clock.monotonic()
        book = self._books[node]
        book.on_take = None
        retry_at: float | None = None
        standing = report.state, report.reason
        if tally is not None and tally.state is not None:
            standing = tally.standing(report, now)
            if tally.is_open(now):
                book.on_take = partial(self._tried, node, tally)
            else:
                retry_at = tally.retry_at
        self._watch_retry(node, retry_at)
        self._fleet.put(report, book, *standing)

    def _watch_retry(self, node: str, at: float | None) -> None:
        if at is not None:
            self._retries[node] = at
        elif self._retries.pop(node, None) is None:
            return
        self._next_retry = min(self._retries.values(), default=math.inf)

    def _open_due(self) -> None:
        now = self._clock.monotonic()
        for node in [node for node, at in self._retries.items() if at <= now]:
            self._judge(self._reports[node])

    def _tried(self, node: str, tally: Tally) -> None:
        """The one activation goes to a node that may be tried."""
        tally.tried(self._clock.monotonic())
        self._judge(self._reports[node])


def _gone(old: NodeReport, new: NodeReport) -> str | None:
    """Why the node of `old` is no more, if it was there."""
    if old.state is NodeState.OFFLINE:
        return None
    if old.incarnation != new.incarnation:
        return "it started anew"
    return (new.reason or "it is down") if new.state is NodeState.OFFLINE else None


def _nothing() -> None:
    return None
