"""Puts one activation on a node: the decision, the permit, and what its message has to say of the node."""

from __future__ import annotations

from upwhisk.common.clock import Clock
from upwhisk.common.ids import NodeId
from upwhisk.common.model.placed import Why
from upwhisk.loadbalancer.books import key_of
from upwhisk.loadbalancer.nodeview import NodeView
from upwhisk.loadbalancer.pending import Pending
from upwhisk.loadbalancer.placement import Decision, Request, place


class Placing:
    def __init__(self, view: NodeView, policy: str, clock: Clock) -> None:
        self._view = view
        self._clock = clock
        self._policy = policy

    def consider(self, pending: Pending) -> Decision:
        """Where it would go now, and why not elsewhere."""
        message = pending.message
        return place(self._view.fleet, Request(key_of(message), message.demand), self._policy)

    def take(self, pending: Pending) -> bool:
        """Take a permit for it; False if no node has one."""
        message, decision = pending.message, self.consider(pending)
        pending.decision = decision
        if decision.node is None:
            return False
        permit = self._view.book(decision.node).take(key_of(message), message.demand)
        if permit is None:
            return False
        pending.permit = permit
        message.placed = Why(decision.policy, decision.considered, decision.refused, decision.counts, decision.warm)
        message.node, message.incarnation = NodeId(permit.node), self._view.incarnation(permit.node) or ""
        message.queued_ms = max(0, self._clock.now_ms() - message.accepted_ms)
        message.tells_start = self._view.tells_starts(permit.node)
        return True


def why_waiting(decision: Decision) -> str:
    """In a few words, for who waited in vain."""
    counts = [f"{count} of {decision.considered}: {why}" for why, count in decision.counts.items()]
    return ", ".join(counts) or "others come first"
