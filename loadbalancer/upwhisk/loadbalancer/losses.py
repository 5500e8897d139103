"""Work whose node is lost: found when the picture of the nodes changes, and when an absent node's lease has passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from upwhisk.common.clock import Clock
from upwhisk.loadbalancer.nodeview import NodeView
from upwhisk.loadbalancer.pending import Pending, Phase
from upwhisk.loadbalancer.presence import Presence, presence
from upwhisk.loadbalancer.underway import UnderWay

NodeLost = Callable[[Pending, str], None]
_LEFT = "it is not listed any more"


class Losses:
    """`notify`: see `Balancer.on_no_outcome`; `came_back` counts what it is called with."""

    def __init__(
        self, view: NodeView, clock: Clock, work: UnderWay, notify: NodeLost, came_back: Counter[str], *, lease_s: float
    ) -> None:
        self._view = view
        self._clock = clock
        self._work = work
        self._notify = notify
        self._came_back = came_back
        self._lease_s = lease_s
        self._absent: dict[str, float] = {}
        """Nodes that are not listed -> when their lease has passed."""

    def changed(self, node: str, incarnation: str, reason: str) -> None:
        """The view says that this incarnation is no more."""
        for pending in self._work.handed_to(node):
            self._look(pending, reason)

    def look_at(self, pending: Pending) -> Presence:
        """Of work that was handed over before we knew of it."""
        return self._look(pending, "it was lost before")

    def look(self) -> None:
        """At nodes that are not listed: they came back, or their time is up."""
        for node, until in list(self._absent.items()):
            if self._view.knows(node) or self._clock.monotonic() >= until:
                for pending in self._work.handed_to(node):
                    self._look(pending, _LEFT)
                self._absent.pop(node, None)

    def _look(self, pending: Pending, reason: str) -> Presence:
        message, view = pending.message, self._view
        now, node = self._clock.monotonic(), message.node
        found = presence(message.incarnation, view.incarnation(node), known=view.knows(node))
        if found is Presence.ABSENT and now >= self._absent.setdefault(node, now + self._lease_s):
            found = Presence.GONE
        if found is Presence.GONE:
            pending.release()
            pending.phase, pending.lost = Phase.ENDING, f"node '{node}': {reason}"
            self._came_back["node_lost"] += 1
            self._notify(pending, pending.lost)
        return found
