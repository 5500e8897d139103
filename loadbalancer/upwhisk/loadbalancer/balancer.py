"""Hands accepted work to nodes and their outcomes back to who waits. The steps are numbered in reading order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import Unavailable, Unconfirmed
from upwhisk.common.forms import Unreadable
from upwhisk.common.ids import ActivationId, ControllerId
from upwhisk.common.messages import ActivationMessage, Completion, Returned
from upwhisk.common.model.activation import Activation
from upwhisk.common.resource import Resource
from upwhisk.common.settings import QueueSettings
from upwhisk.common.spi.bus import MessageBus
from upwhisk.common.tasks import TaskOwner, repeated
from upwhisk.loadbalancer.books import key_of
from upwhisk.loadbalancer.door import Door
from upwhisk.loadbalancer.losses import Losses, NodeLost
from upwhisk.loadbalancer.nodeview import NodeView
from upwhisk.loadbalancer.pending import Handover, Notify, Pending, Phase, Sending, Turns, judged
from upwhisk.loadbalancer.placing import Placing, why_waiting
from upwhisk.loadbalancer.presence import Meaning, Presence, meaning_of
from upwhisk.loadbalancer.tally import Outcome
from upwhisk.loadbalancer.underway import UnderWay
from upwhisk.loadbalancer.waiting import LOOK_S, Waiting

log = structlog.get_logger(__name__)

_REMIND_EVERY = 20
"""Sweeps after which silent nodes are reminded."""


class Balancer(Resource):
    """One controller's balancer. `policy` names a placement policy.

    `work`: all that it answers for. `view`: the nodes it knows. `placing`: where work would go now, and why not elsewhere.
    `refused`: work that was not accepted, by reason. `came_back`: hand-overs to nodes that ended without an outcome.
    """

    def __init__(self, bus: MessageBus, view: NodeView, clock: Clock, queue: QueueSettings, *, policy: str) -> None:
        self.view = view
        self._clock = clock
        self._settings = queue
        self.refused: Counter[str] = Counter()
        self.came_back: Counter[str] = Counter()
        self._waiting = Waiting(queue, clock, self.refused)
        self._door = Door(view, self._waiting, clock, self.refused)
        self.placing = Placing(view, policy, clock)
        self.work = UnderWay()
        self._sending = Sending(bus, clock, Turns(self._waiting.push_again, _unowned, self._unsent))
        self._losses: Losses | None = None
        self._tasks = TaskOwner("balancer")
        self._sweeps = 0
        self._expired: Notify = _unowned
        self._unanswered: NodeLost = _unowned
        self._answers_to: Callable[[], str] | None = None
        self.stopping = False

    async def start(self) -> None:
        if self._losses is not None:
            self.view.on_lost(self._losses.changed)
        self.view.start(self._view_changed)
        self._tasks.start(repeated(self._sweep, lambda: self._clock.sleep(LOOK_S), "balancer"), "sweep")

    def stop(self) -> None:
        """Nothing is placed any more. Who waits for what has no permit is told; in a fleet that another controller may be asked."""
        self.stopping = True
        self._drain_queue()

    async def aclose(self) -> None:
        self.stopping = True
        self.view.close()
        await self._tasks.aclose(grace_s=0.0)

    # -- how it is connected, before the start ----------------------------------------------------------------------

    def on_expired(self, notify: Notify) -> None:
        """`notify` is called with work that waited longer than the queue's `max_age_s`; whoever is told resolves it."""
        self._expired = notify

    def on_no_outcome(self, lost: NodeLost, unanswered: NodeLost, *, lease_s: float) -> None:
        """`lost` is called with each work that a lost node had, and why; whoever is told calls `requeue`, or ends it and resolves
        it. `unanswered`: with work whose node lives and does not say how it ended; whoever is told ends it and resolves it.
        Permits are back. `lease_s`: so long a node that is not listed any more may still live. Without a word (in one process
        a node is no more lost than we are) it stays known by its id."""
        self._door.lease_s = lease_s
        self.work.elsewhere = self.forget
        self._unanswered = unanswered
        self._losses = Losses(self.view, self._clock, self.work, lost, self.came_back, lease_s=lease_s)

    def answers_to(self, name: Callable[[], str]) -> None:
        """Where nodes send what becomes of work that no journal holds: the topic of this name."""
        self._answers_to = name

    def hand_over_by(self, handover: Handover, refused: Notify) -> None:
        """Journalled work is sent only once `handover` is done; if that fails, it waits for another try; if it says no,
        `refused` is told, who calls `requeue`, `forget`, or ends it and resolves it."""
        self._sending.handover = handover
        self._sending.refused_by(refused)

    # 1. Is there room at all? Asked before anything is made durable.

    def refusal(self, namespace: str, count: int = 1, *, waits_for: str = "") -> str | None:
        """Why `count` more activations of `namespace` cannot be taken, or None. `waits_for`: the action (its document's id)
        whose record a caller waits for, who is better told at once than after `queue.max_wait_s`."""
        if self.stopping:
            self.refused["stopping"] += 1
            return "the platform is stopping"
        return self._door.refusal(namespace, count, waits_for=waits_for, in_flight=self.in_flight)

    # 2. Publish: place and send now, or wait for a permit.

    def publish(self, message: ActivationMessage) -> asyncio.Future[Activation]:
        """Responsible from here on; the future resolves with the final record, or raises `Unavailable` when a
        blocking caller waited too long for a permit. Call `refusal` first."""
        if self._answers_to is not None and not message.journalled:
            message.controller = ControllerId(self._answers_to())
        wait_until = self._clock.monotonic() + self._settings.max_wait_s if message.blocking else None
        pending = Pending(message, asyncio.get_running_loop().create_future(), wait_until)
        self.work.add(pending)
        if self.stopping or self._waiting.has_line or not self._try_dispatch(pending):
            self._waiting.push(pending)
            self._drain_queue()
        return pending.done

    # 3. Place it on a node and take the permit (`placing.py`); 4. hand it over (`pending.py`).

    def _try_dispatch(self, pending: Pending) -> bool:
        if not self.placing.take(pending):
            return False
        self._sending.hand_over(pending)
        return True

    def _unsent(self, pending: Pending, error: Unavailable) -> None:
        self.came_back["not_sent"] += 1
        self._forget(pending)
        pending.fail(error)

    # 5. The node's answer: permit back, caller answered, the next in the queue placed.

    def completed(self, answer: Completion | Returned | Unreadable, counted: bool | None = None) -> None:
        """What a node answered, and whether the log of a fleet took it. An `Unreadable` is an outcome or a return."""
        self._door.answered()
        if counted and isinstance(answer, Completion):
            self.view.report_outcome(answer.node, judged(answer.record))
        pending = self.work.find(answer.activation_id)
        if pending is not None:
            handed = pending.phase is Phase.HANDED
            match meaning_of(answer, pending.message.dispatch, handed=handed, counted=counted):
                case Meaning.ENDED:
                    assert isinstance(answer, Completion)
                    self.resolve(pending, answer.record)
                case Meaning.NOT_STARTED:
                    assert not isinstance(answer, Completion)
                    self._not_started(pending, answer)
                case Meaning.UNKNOWN:
                    assert isinstance(answer, Unreadable)
                    self._end_unknown(pending, f"node '{answer.node}' said it in a way that is not understood: {answer.reason}")
                case Meaning.LATE:
                    log.info("late answer", action="balancer.late", id=answer.activation_id, node=answer.node)
        self._drain_queue()

    def _not_started(self, pending: Pending, answer: Returned | Unreadable) -> None:
        """Of another release than ours its node is not offered the same at once, again and again. What it broke off is
        started once more."""
        self.came_back["returned"] += 1
        if isinstance(answer, Returned) and answer.started:
            pending.message.attempt = answer.attempt + 1
        if pending.wait_until is not None:
            pending.wait_until = self._clock.monotonic() + self._settings.max_wait_s
        if isinstance(answer, Unreadable) or answer.unread:
            self.view.report_outcome(answer.node, Outcome.PLATFORM_ERROR)
        self._waiting.push_returned(pending)

    def _end_unknown(self, pending: Pending, reason: str) -> None:
        """It may have run, so it is not placed again."""
        self._take_out(pending)
        pending.release()
        self._unanswered(pending, reason)

    def resolve(self, pending: Pending, record: Activation) -> None:
        """The final record is there: forget the work and tell who waits."""
        self._forget(pending)
        pending.end(record)

    def requeue(self, pending: Pending) -> None:
        """Place work once more whose hand-over counts for nothing any longer."""
        if self.work.holds(pending) and pending.phase is not Phase.QUEUED:
            self._waiting.push_again(pending)
            self._drain_queue()

    def forget(self, pending: Pending, reason: str = "") -> None:
        """It is somebody else's, or nobody's: who waits is told, `Unconfirmed` if any of it may be done."""
        error = Unavailable if pending.is_untouched else Unconfirmed
        self._forget(pending)
        pending.fail(error.because(reason) if reason else error())

    def give_up(self, controller: str) -> None:
        """Forget the work that answers to this name: another controller goes on with it."""
        for pending in self.work:
            if pending.message.controller == controller:
                self.forget(pending)

    def adopt(self, message: ActivationMessage) -> asyncio.Future[Activation]:
        """Work that another controller handed to a node: take its permit and wait. It is sent again, the same hand-over, in
        case the other died before it was sent; the node knows it if it has it. If the node is lost, that is told."""
        pending = Pending(message, asyncio.get_running_loop().create_future(), None, Phase.HANDED)
        self.work.add(pending)
        if self._losses is None or self._losses.look_at(pending) is not Presence.GONE:
            pending.permit = self.view.book(message.node).force(key_of(message), message.demand)
            self._sending.send(pending)
        return pending.done

    def was_handed(self, message: ActivationMessage) -> bool:
        """Whether a node of a fleet has it, or had it when it was lost: to be adopted."""
        return self._losses is not None and bool(message.node)

    def _view_changed(self) -> None:
        if self._losses is not None:
            self._losses.look()
        self._drain_queue()

    def _drain_queue(self) -> None:
        if self.stopping:  # also what has come back from a node
            self.work.release_waiting()
        while self._waiting.has_line and not self.stopping and self._waiting.place_next(self._try_dispatch):
            pass

    # 6. Waiting has an end.

    def _sweep(self) -> None:
        self._sweeps += 1
        self._sending.again()
        self._waiting.end_rests()
        self._door.away()
        if self._losses is not None:
            self._losses.look()
            if self._sweeps % _REMIND_EVERY == 0:
                self._look_at_silent()
        if self._waiting:
            self._expire()
            self._drain_queue()

    def _look_at_silent(self) -> None:
        """Nodes that live and do not answer: they are reminded, until their time is up. Their work may run on, so it is not
        placed again."""
        for pending in self._sending.remind(self.work):
            message = pending.message
            log.warning("no answer in time", action="balancer.unanswered", id=message.activation_id, node=message.node)
            self.view.report_outcome(message.node, Outcome.TIMEOUT, incarnation=message.incarnation)
            self._end_unknown(pending, f"node '{message.node}' did not say in time how the action ended")

    def _expire(self) -> None:
        late, old = self._waiting.overdue(self.work)
        for pending in late:
            self.refused["no_permit_in_time"] += 1
            log.info("no permit in time", action="balancer.waited", id=pending.message.activation_id)
            why = self._door.away() or why_waiting(self.placing.consider(pending))
            self.forget(pending, f"no node took it within {self._settings.max_wait_s:.0f} s ({why})")
        for pending in old:
            self._take_out(pending)
            self._expired(pending)

    def _take_out(self, pending: Pending) -> None:
        """Whoever ends it resolves it."""
        self._waiting.take_out(pending)
        pending.phase = Phase.ENDING

    def _forget(self, pending: Pending) -> None:
        self._take_out(pending)
        pending.release()
        self.work.drop(pending)

    # -- what others ask ------------------------------------------------------------------------------------------

    def withdraw(self, id: ActivationId) -> bool:
        """Take work out that has no permit yet, for whoever ends and resolves it (or calls `requeue`); False if it is under
        way or unknown."""
        pending = self.work.find(id)
        if pending is None or pending.phase is not Phase.QUEUED:
            return False
        self._take_out(pending)
        return True

    @property
    def queued(self) -> int:
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        return len(self.work) - self.queued


def _unowned(pending: Pending, reason: str = "") -> None:
    log.warning("work without an owner", action="balancer.unowned", id=pending.message.activation_id, reason=reason)
