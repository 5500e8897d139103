"""One node as the balancer sees it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.loadbalancer.books import Key, NodeBook

if TYPE_CHECKING:
    from upwhisk.loadbalancer.pools import Pool


class Node:
    """`state` and `reason` are what placement goes by: the node's own word, unless its controller knows better.

    The rest is the fleet's: `seat`, a small number that stays with the node while it is a member; `place`, its position
    in the order of ids; and what its book said when it was last looked at.
    """

    __slots__ = (
        "book",
        "budget_mb",
        "free_mb",
        "heavy",
        "key",
        "node",
        "open",
        "place",
        "pool",
        "reason",
        "report",
        "seat",
        "state",
        "text",
        "used_mb",
    )

    def __init__(self, report: NodeReport, book: NodeBook, seat: int) -> None:
        self.node: str = report.node
        self.report = report
        self.book = book
        self.seat = seat
        self.place = -1
        self.pool: Pool | None = None
        self.key = 0
        self.free_mb = 0
        self.used_mb = 0
        self.budget_mb = 0
        self.heavy: frozenset[str] = frozenset()
        self.open: dict[Key, Spot] = {}
        self.judge(NodeState.HEALTHY, "")

    def judge(self, state: NodeState, reason: str) -> None:
        self.state = state
        self.reason = reason
        self.text = f"{state.value}: {reason}" if reason else state.value
        """Why it takes no work, if it does not for its state."""


class Spot(NamedTuple):
    """A slot left in a container of an action: its place in the order of all such, the container's memory, and why the
    node would refuse another container for it."""

    order: int
    memory_mb: int
    refused: str | None
