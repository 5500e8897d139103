"""Hands accepted work to nodes and their outcomes back to who waits. The steps are numbered in reading order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import ActivationId, ControllerId, NodeId
from upwhisk.common.messages import ActivationMessage, Completion, Returned
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.placed import Why
from upwhisk.common.resource import Resource
from upwhisk.common.settings import QueueSettings
from upwhisk.common.spi.bus import MessageBus, node_topic
from upwhisk.common.tasks import TaskOwner
from upwhisk.loadbalancer.books import key_of
from upwhisk.loadbalancer.node import Node
from upwhisk.loadbalancer.nodeview import NodeView
from upwhisk.loadbalancer.pending import Handover, NodeLost, Pending, Stopping, judged
from upwhisk.loadbalancer.placement import Request, place
from upwhisk.loadbalancer.queue import FairQueue
from upwhisk.loadbalancer.tally import Outcome

log = structlog.get_logger(__name__)

_SWEEP_S = 0.25


class Balancer(Resource):
    """One controller's balancer. `policy` names a placement policy.

    `refused`: work that was not accepted, by reason. `came_back`: hand-overs to nodes that ended without an outcome.
    """

    def __init__(self, bus: MessageBus, view: NodeView, clock: Clock, queue: QueueSettings, *, policy: str) -> None:
        self._bus = bus
        self._view = view
        self._clock = clock
        self._settings = queue
        self._policy = policy
        self._queue: FairQueue[Pending] = FairQueue(queue.max_length, queue.max_length_per_namespace)
        self._pending: dict[ActivationId, Pending] = {}
        self._to_send_again: dict[ActivationId, Pending] = {}
        self._tasks = TaskOwner("balancer")
        self._expired: Callable[[Pending], None] = _ignore
        self._node_lost: NodeLost | None = None
        self._unanswered: Callable[[Pending], None] | None = None
        self._handover: Handover | None = None
        self._answers_to: Callable[[], str] | None = None
        self.stopping = False
        self.refused: Counter[str] = Counter()
        self.came_back: Counter[str] = Counter()

    async def start(self) -> None:
        self._view.on_lost(self._lose)
        self._view.start(self._drain_queue)
        self._tasks.start(self._sweep(), "sweep")

    async def aclose(self) -> None:
        self.stopping = True
        self._view.close()
        await self._tasks.aclose(grace_s=0.0)

    def on_expired(self, notify: Callable[[Pending], None]) -> None:
        """`notify` is called with work that waited longer than the queue's `max_age_s`; it is forgotten here, and
        whoever is told resolves its `done`."""
        self._expired = notify

    def on_unanswered(self, notify: Callable[[Pending], None]) -> None:
        """`notify` is called with work whose node lives and has not answered in time; its permit is back."""
        self._unanswered = notify

    def on_node_lost(self, notify: NodeLost) -> None:
        """`notify` is called with each work that a lost node had, and why it is lost. Its permit is back; whoever is
        told calls `requeue`, or ends it and resolves its `done`. Without a word it stays known by its id."""
        self._node_lost = notify

    def answers_to(self, name: Callable[[], str]) -> None:
        """Where nodes send what becomes of work that no journal holds: the topic of this name."""
        self._answers_to = name

    def share(self, controllers: int) -> None:
        """So many controllers divide the nodes between them."""
        self._view.share(controllers)

    def give_up(self, controller: str) -> None:
        """Forget the work that answers to this name: another controller goes on with it. Who waits is told."""
        for pending in [p for p in self._pending.values() if p.message.controller == controller]:
            self._release(pending)
            self._forget(pending)
            self._fail(pending, Unavailable())

    def hand_over_by(self, handover: Handover) -> None:
        """Journalled work is sent only once `handover` is done; if that fails, it waits for another try."""
        self._handover = handover

    # 1. Is there room at all? Asked before anything is made durable.

    def refusal(self, namespace: str, count: int = 1, *, waits: bool = False) -> str | None:
        """Why `count` more activations of `namespace` cannot be taken, or None. `waits`: a caller waits for the record,
        and is better told at once than after `queue.max_wait_s`."""
        if self.stopping:
            self.refused["stopping"] += 1
            return "the platform is stopping"
        if not self._queue and self._view.nodes:
            return None
        if not self._view.nodes:
            self.refused["no_node"] += 1
            return "there is no node"
        reason = self._queue.refusal(namespace, count)
        if reason is not None:
            self.refused["queue_full"] += 1
        elif waits and (wait_s := self._queue.expected_s(namespace, self._clock.monotonic())) > self._settings.max_wait_s:
            self.refused["queue_slow"] += 1
            reason = f"the queue of namespace '{namespace}' takes {wait_s:.0f} s"
        return reason

    # 2. Publish: place and send now, or wait for a permit.

    def publish(self, message: ActivationMessage) -> asyncio.Future[Activation]:
        """Responsible from here on; the future resolves with the final record, or raises `Unavailable` when a
        blocking caller waited too long for a permit. Call `refusal` first."""
        if self._answers_to is not None and not message.journalled:
            message.controller = ControllerId(self._answers_to())
        now = self._clock.monotonic()
        wait_until = now + self._settings.max_wait_s if message.blocking else None
        pending = Pending(message, asyncio.get_running_loop().create_future(), wait_until)
        self._pending[message.activation_id] = pending
        if self.stopping or self._queue or not self._try_dispatch(pending):
            self._queue.push(message.namespace, pending)
            if self._queue and not self.stopping:
                self._drain_queue()
        return pending.done

    # 3. Place it on a node and take the permit.

    def _try_dispatch(self, pending: Pending) -> bool:
        message = pending.message
        key = key_of(message)
        decision = place(self._view.fleet, Request(key, message.demand), self._policy)
        pending.decision = decision
        if decision.node is None:
            return False
        permit = self._view.book(decision.node).take(key, message.demand)
        if permit is None:
            return False
        pending.permit = permit
        message.placed = Why(decision.policy, decision.considered, decision.refused, decision.counts, decision.warm)
        message.node, message.incarnation = NodeId(permit.node), self._view.incarnation(permit.node) or ""
        message.dispatch += 1
        if self._handover is not None and message.journalled:
            self._announce(pending, self._handover(message))
        else:
            self._send(pending)
        return True

    # 4. Hand it over, after that is durable where it has to be.

    def _announce(self, pending: Pending, announcing: asyncio.Future[bool]) -> None:
        dispatch = pending.message.dispatch

        def announced(done: asyncio.Future[bool]) -> None:
            if pending.permit is None or pending.message.dispatch != dispatch:
                return  # its node was lost in the meantime
            if done.cancelled() or done.exception() is not None:
                self._release(pending)
                self._queue.push(pending.message.namespace, pending)
            elif done.result():
                self._send(pending)
            elif self._node_lost is not None:
                self._release(pending)
                self._node_lost(pending, "it had started there all the same")

        announcing.add_done_callback(announced)

    def _send(self, pending: Pending) -> None:
        message = pending.message
        pending.sent_at(self._clock.monotonic())
        sending, dispatch = self._bus.send(node_topic(message.node), message), message.dispatch
        if sending.done():
            self._sent(pending, sending, dispatch)
        else:
            sending.add_done_callback(lambda done: self._sent(pending, done, dispatch))

    def _sent(self, pending: Pending, sending: asyncio.Future[None], dispatch: int) -> None:
        error = None if sending.cancelled() else sending.exception()
        if pending.permit is None or pending.message.dispatch != dispatch:
            return
        if isinstance(error, Unavailable):
            self._unsent(pending, error)
        elif error is not None or sending.cancelled():
            self._unsent(pending, Unavailable())

    def _unsent(self, pending: Pending, error: Unavailable) -> None:
        """It may have arrived all the same: what is to be kept stays with this node and is sent to it again, which
        knows a hand-over it has had; a caller who waits is told, and has no id."""
        self.came_back["not_sent"] += 1
        if pending.message.journalled:
            self._to_send_again[pending.message.activation_id] = pending
        else:
            self._release(pending)
            self._fail(pending, error)

    def _send_again(self) -> None:
        waiting, self._to_send_again = self._to_send_again, {}
        for pending in waiting.values():
            if pending.permit is not None:
                self._send(pending)

    # 5. The node's completion: permit back, caller answered, the next in the queue placed.

    def completed(self, message: Completion | Returned) -> None:
        """What a node answered: an outcome, which counts whatever hand-over it is of, or work that it gives back."""
        pending = self._pending.get(message.activation_id)
        if isinstance(message, Completion):
            if self._node_lost is not None:
                self._view.report_outcome(message.node, judged(message.record))
            if pending is not None:
                self.resolve(pending, message.record)
        elif pending is not None and pending.permit is not None and message.dispatch == pending.message.dispatch:
            self._release(pending)
            pending.returned += 1
            self.came_back["returned"] += 1
            self._queue.push(pending.message.namespace, pending)
        if self._queue:
            self._drain_queue()

    def resolve(self, pending: Pending, record: Activation) -> None:
        """The final record is there: forget the work and tell who waits."""
        self._pending.pop(pending.message.activation_id, None)
        if pending.permit is None:
            self._queue.remove(pending.message.namespace, pending)
        self._release(pending)
        if not pending.done.done():
            pending.done.set_result(record)

    def requeue(self, pending: Pending) -> None:
        """Place work once more whose hand-over counts for nothing any longer."""
        if pending.message.activation_id in self._pending and pending.permit is None:
            self._queue.push(pending.message.namespace, pending)
            self._drain_queue()

    def adopt(self, message: ActivationMessage) -> asyncio.Future[Activation]:
        """Work that another controller handed to a node that still has it: take its permit and wait. It is sent again,
        the same hand-over, in case the other died before it was sent; the node knows it if it has it."""
        pending = Pending(message, asyncio.get_running_loop().create_future(), None)
        pending.permit = self._view.book(message.node).force(key_of(message), message.demand)
        self._pending[message.activation_id] = pending
        self._send(pending)
        return pending.done

    def is_alive(self, message: ActivationMessage) -> bool:
        """Whether the node it was handed to is a member, still in the same incarnation."""
        return bool(message.incarnation) and self._view.incarnation(message.node) == message.incarnation

    def _lose(self, node: str, incarnation: str, reason: str) -> None:
        if self._node_lost is None:
            return  # in one process a node is no more lost than we are
        for pending in list(self._pending.values()):
            message = pending.message
            if pending.permit is not None and message.node == node and message.incarnation == incarnation:
                self._release(pending)
                self.came_back["node_lost"] += 1
                self._node_lost(pending, f"node '{node}': {reason}")

    def _release(self, pending: Pending) -> None:
        if pending.permit is not None:
            pending.permit.release()
            pending.permit = None

    def _drain_queue(self) -> None:
        while self._queue and not self.stopping:
            if not self._queue.pop_first(self._try_dispatch, self._clock.monotonic()):
                return

    # 6. Waiting has an end.

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(_SWEEP_S)
            self._send_again()
            self._look_at_unanswered()
            if self._queue:
                self._expire()
                self._drain_queue()

    def _look_at_unanswered(self) -> None:
        """Nodes that live and do not answer. Their work may run on, so it is not placed again."""
        if self._unanswered is None:
            return
        now = self._clock.monotonic()
        for pending in [p for p in self._pending.values() if p.permit is not None and now >= p.answer_by > 0]:
            message = pending.message
            log.warning("no answer in time", action="balancer.unanswered", id=message.activation_id, node=message.node)
            self._view.report_outcome(message.node, Outcome.TIMEOUT, incarnation=message.incarnation)
            self._release(pending)
            self._unanswered(pending)

    def _expire(self) -> None:
        now, now_ms = self._clock.monotonic(), self._clock.now_ms()
        for pending in [p for p in self._pending.values() if p.permit is None]:
            message = pending.message
            if pending.wait_until is not None and now >= pending.wait_until and not message.journalled:
                self._forget(pending)
                self.refused["no_permit_in_time"] += 1
                log.info("no permit in time", action="balancer.waited", id=message.activation_id)
                self._fail(pending, Unavailable())
            elif now_ms - message.accepted_ms > self._settings.max_age_s * 1000:
                self._forget(pending)
                self._expired(pending)

    def _forget(self, pending: Pending) -> None:
        self._queue.remove(pending.message.namespace, pending)
        self._pending.pop(pending.message.activation_id, None)

    def _fail(self, pending: Pending, error: Unavailable) -> None:
        self._pending.pop(pending.message.activation_id, None)
        if not pending.done.done():
            pending.done.set_exception(error)
            pending.done.exception()  # not every caller waits

    # -- what others ask ------------------------------------------------------------------------------------------

    def find(self, id: ActivationId) -> Pending | None:
        return self._pending.get(id)

    def release_waiting(self) -> None:
        """Tell every blocking caller whose work has no permit yet that the platform stops (`Stopping`)."""
        for pending in [p for p in self._pending.values() if p.permit is None]:
            if not pending.done.done():
                pending.done.set_exception(Stopping())
                pending.done.exception()  # not every caller waits

    def withdraw(self, id: ActivationId) -> bool:
        """Forget work that has no permit yet; False if it is under way or unknown."""
        pending = self._pending.get(id)
        if pending is None or pending.permit is not None:
            return False
        self._forget(pending)
        return True

    async def wait_answered(self, timeout_s: float) -> bool:
        """Wait for the outcomes of what nodes run for blocking callers."""
        waited = [p.done for p in self._pending.values() if p.message.blocking and p.permit is not None]
        if not waited:
            return True
        _, late = await asyncio.wait(waited, timeout=timeout_s)
        return not late

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes known now, each with its book."""
        return self._view.nodes

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        return len(self._pending) - len(self._queue)


def _ignore(pending: Pending) -> None:
    log.warning("expired work without an owner", action="balancer.expired", id=pending.message.activation_id)
