"""Whether there is room for more work at all. Asked before anything is made durable."""

from __future__ import annotations

import math
from collections import Counter

from upwhisk.common.clock import Clock
from upwhisk.loadbalancer.nodeview import NodeView
from upwhisk.loadbalancer.waiting import Waiting


class Door:
    """`refused`: work that was not accepted, by reason. `lease_s`: after it nodes that cannot reach the registry start
    nothing; in one process there is none."""

    def __init__(self, view: NodeView, waiting: Waiting, clock: Clock, refused: Counter[str]) -> None:
        self._view = view
        self._waiting = waiting
        self._clock = clock
        self._refused = refused
        self._answered_at = self._tried_at = clock.monotonic()
        self.lease_s = math.inf

    def answered(self) -> None:
        """A node has said something of its work."""
        self._answered_at = self._clock.monotonic()

    def away(self) -> str | None:
        """Why the registry is out of reach, if it has been for longer than nodes go on without it. To be asked now and then."""
        return self._view.away(self.lease_s)

    def refusal(self, namespace: str, count: int, *, waits_for: str, in_flight: int) -> str | None:
        """Why `count` more activations of `namespace` cannot be taken, or None. `waits_for`: the action whose record a caller
        waits for, who is better told at once than after `queue.max_wait_s`; empty if nobody does."""
        if not self._view.nodes:
            self._refused["no_node"] += 1
            return "there is no node"
        if waits_for and (stalled := self._stalled(in_flight)) is not None:
            self._refused["stalled"] += 1
            return stalled
        return self._waiting.refusal(namespace, count, waits_for=waits_for) if self._waiting.has_line else None

    def _stalled(self, in_flight: int) -> str | None:
        """Why nodes start nothing, if so: without the registry they do not know whether they are members still. A node that
        answers can reach it, though we cannot; so one caller in each lease is let in, to find out."""
        now = self._clock.monotonic()
        if now - self._answered_at < self.lease_s or (why := self.away()) is None:
            return None
        if not in_flight or now - self._tried_at >= self.lease_s:
            self._tried_at = now
            return None
        return f"nodes start nothing while the node registry is out of reach ({why})"
