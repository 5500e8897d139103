"""The delivery of one controller of a fleet: its logs, what they tell the balancer, and what becomes of lost work."""

from __future__ import annotations

from upwhisk.common.clock import Clock
from upwhisk.common.forms import Unreadable
from upwhisk.common.messages import Completion, Returned
from upwhisk.common.resource import Resource
from upwhisk.controller.delivery.fences import Fences
from upwhisk.controller.delivery.hosting import Hosting
from upwhisk.controller.delivery.journal import entries_of
from upwhisk.controller.delivery.log import ControllerLog
from upwhisk.controller.delivery.store import DeliveredStore
from upwhisk.controller.recovery import Recovery
from upwhisk.controller.sequence import Sequences
from upwhisk.loadbalancer.balancer import Balancer


class FleetDelivery(Resource):
    """Connects the logs with balancer, recovery and sequences. Started after the balancer sees the nodes."""

    def __init__(
        self, store: DeliveredStore, hosting: Hosting, balancer: Balancer, recovery: Recovery, sequences: Sequences
    ) -> None:
        self._store = store
        self._hosting = hosting
        self._balancer = balancer
        self._recovery = recovery
        self._sequences = sequences
        self._fences: Fences | None = None

    def connect(self, clock: Clock, *, max_age_s: float, node_lease_s: float) -> FleetDelivery:
        """`node_lease_s`: how long a node may go on without a sign of life."""
        journal, hosting, balancer = self._store.log_journal, self._hosting, self._balancer
        fences = self._fences = Fences(hosting, journal, balancer, clock, max_age_s=max_age_s)
        hosting.answered = self._answered
        hosting.adopted = self._adopted
        hosting.lost = self._lost
        hosting.controllers_changed = balancer.view.share
        balancer.hand_over_by(journal.dispatching, fences.refused)
        balancer.on_no_outcome(fences.node_lost, fences.unanswered, lease_s=node_lease_s)
        balancer.answers_to(lambda: hosting.own.name)
        return self

    async def start(self) -> None:
        await self._hosting.start()

    async def aclose(self) -> None:
        if self._fences is not None:
            await self._fences.aclose()
        await self._hosting.aclose()

    def _answered(self, answer: Completion | Returned | Unreadable, counted: bool) -> None:
        self._balancer.completed(answer, counted)

    async def _adopted(self, log: ControllerLog) -> None:
        await self._recovery.take_up(entries_of(log))

    def _lost(self, name: str) -> None:
        """Another controller answers for that log: what we had of it is theirs."""
        self._sequences.give_up(name)
        self._balancer.give_up(name)
