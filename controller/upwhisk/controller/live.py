"""Activations that have no record yet: their state, and why they are where they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from upwhisk.common.clock import Clock
from upwhisk.common.ids import ActivationId
from upwhisk.common.model.activation import Status, failed
from upwhisk.common.spi.store import Journal
from upwhisk.common.unfinished import fallback
from upwhisk.controller.sequence import Sequences
from upwhisk.loadbalancer.balancer import Balancer
from upwhisk.loadbalancer.pending import Pending, Phase

CANCELLED = "The activation was cancelled before it had started."
PhaseOf = Callable[[ActivationId], str | None]
"""What a node says of an activation it holds (`initialising`, `running`, ...), None if it does not know it."""


class LiveView:
    def __init__(
        self, balancer: Balancer, sequences: Sequences, journal: Journal, clock: Clock, phase_of: PhaseOf
    ) -> None:
        self._balancer = balancer
        self._sequences = sequences
        self._journal = journal
        self._clock = clock
        self._phase_of = phase_of

    def live(self, namespace: str, id: ActivationId) -> dict[str, Any] | None:
        """State and phases of an activation without a final record, or None."""
        pending = self._find(namespace, id)
        if pending is None:
            phase = self._sequences.phase_of(namespace, id)
            return {"activationId": id, "state": phase, "kind": "sequence"} if phase else None
        message = pending.message
        return {
            "activationId": id,
            "name": message.action.name,
            "state": self._state(pending),
            "node": message.node or None,
            "attempt": message.attempt,
            "accepted": message.accepted_ms,
            "ageMs": max(0, self._clock.now_ms() - message.accepted_ms),
        }

    def why(self, namespace: str, id: ActivationId) -> dict[str, Any] | None:
        """The reasons of its placement, or None if it is not under way. Of what waits: where it would go now."""
        pending = self._find(namespace, id)
        if pending is None:
            return None
        is_queued = pending.phase is Phase.QUEUED
        decision = self._balancer.placing.consider(pending) if is_queued else pending.decision
        reasons = {"node": pending.message.node or None} if decision is None else msgspec.to_builtins(decision)
        assert isinstance(reasons, dict)
        return {"activationId": id, "state": self._state(pending), **reasons}

    def in_flight(self) -> list[ActivationId]:
        """Every activation this controller has accepted and not yet seen the end of: also sequences and what waits."""
        return [*self._balancer.work.ids(), *self._sequences.ids()]

    async def cancel(self, namespace: str, id: ActivationId) -> bool:
        """Work that has no permit yet ends with a record that says so; False if there is nothing to cancel."""
        pending = self._find(namespace, id)
        if pending is None or not self._balancer.withdraw(id):
            return False
        message = pending.message
        response = failed(Status.WHISK_ERROR, CANCELLED)
        record = fallback(message, response, now_ms=self._clock.now_ms(), kind=message.demand.kind)
        try:
            await self._journal.end(message, record)
        except BaseException:
            self._balancer.requeue(pending)
            raise
        self._balancer.resolve(pending, record)
        return True

    def _find(self, namespace: str, id: ActivationId) -> Pending | None:
        pending = self._balancer.work.find(id)
        return pending if pending is not None and pending.message.namespace == namespace else None

    def _state(self, pending: Pending) -> str:
        if pending.phase is Phase.QUEUED:
            return "queued"
        return self._phase_of(pending.message.activation_id) or "dispatched"
