"""One node as the balancer sees it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.loadbalancer.books import Key, NodeBook

if TYPE_CHECKING:
    from upwhisk.loadbalancer.pools import Pool


class Node:
    """`state` and `reason` are what placement goes by: the node's own word, unless its controller knows better.

    The rest is the fleet's: `seat`, a small number that stays with the node while it is a member; `place`, its position
    in the order of ids; and what its book said when it was last looked at.
    """

    __slots__ = ("book", "budget_mb", "heavy", "key", "open", "place", "pool", "reason", "report", "seat", "state", "used_mb")

    def __init__(self, report: NodeReport, book: NodeBook, seat: int) -> None:
        self.report = report
        self.book = book
        self.seat = seat
        self.place = -1
        self.state = NodeState.HEALTHY
        self.reason = ""
        self.pool: Pool | None = None
        self.key = 0
        self.used_mb = 0
        self.budget_mb = 0
        self.heavy: tuple[str, ...] = ()
        self.open: dict[Key, tuple[int, str | None]] = {}

    @property
    def node(self) -> str:
        return self.report.node

    @property
    def text(self) -> str:
        """Why it takes no work, if it does not for its state."""
        return f"{self.state.value}: {self.reason}" if self.reason else self.state.value
