"""Hands accepted work to nodes and their outcomes back to who waits. The steps are numbered in reading order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import ActivationMessage, Completion, Returned
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.placed import Why
from upwhisk.common.resource import Resource
from upwhisk.common.settings import QueueSettings
from upwhisk.common.spi.bus import Delivery, MessageBus, Subscription, controller_topic, node_topic
from upwhisk.common.tasks import TaskOwner
from upwhisk.loadbalancer.books import Permit, key_of
from upwhisk.loadbalancer.nodeview import NodeView
from upwhisk.loadbalancer.placement import Decision, Request, place
from upwhisk.loadbalancer.queue import FairQueue

log = structlog.get_logger(__name__)

_COMPLETION_CREDITS = 1_000_000
"""Completions are handled in the turn they arrive in; they never wait for credits."""
_SWEEP_S = 0.25


class Stopping(Exception):
    """The platform stops before this work was dispatched; it has to be made durable for the next start."""


@dataclass(slots=True, eq=False)
class Pending:
    """Work the balancer is responsible for. `done` resolves with the final record.

    `wait_until`: monotonic second after which it may not wait for a permit any longer; None: until its age bound.
    """

    message: ActivationMessage
    done: asyncio.Future[Activation]
    wait_until: float | None
    permit: Permit | None = None
    decision: Decision | None = None
    returned: int = field(default=0)


class Balancer(Resource):
    """One controller's balancer. `policy` names a placement policy."""

    def __init__(
        self, bus: MessageBus, view: NodeView, clock: Clock, queue: QueueSettings, *, policy: str, controller: str
    ) -> None:
        self._bus = bus
        self._view = view
        self._clock = clock
        self._settings = queue
        self._policy = policy
        self._controller = controller
        self._queue: FairQueue[Pending] = FairQueue(queue.max_length, queue.max_length_per_namespace)
        self._pending: dict[ActivationId, Pending] = {}
        self._subscription: Subscription | None = None
        self._tasks = TaskOwner("balancer")
        self._expired: Callable[[Pending], None] = _ignore
        self.stopping = False

    async def start(self) -> None:
        self._view.start(self._drain_queue)
        topic = controller_topic(self._controller)
        self._subscription = self._bus.subscribe(topic, self._completed, credits=_COMPLETION_CREDITS)
        await self._subscription.start()
        self._tasks.start(self._sweep(), "sweep")

    async def aclose(self) -> None:
        self.stopping = True
        self._view.close()
        if self._subscription is not None:
            await self._subscription.aclose()
        await self._tasks.aclose(grace_s=0.0)

    def on_expired(self, notify: Callable[[Pending], None]) -> None:
        """`notify` is called with work that waited longer than the queue's `max_age_s`; it is forgotten here, and
        whoever is told resolves its `done`."""
        self._expired = notify

    # 1. Is there room at all? Asked before anything is made durable.

    def refusal(self, namespace: str, count: int = 1) -> str | None:
        if self.stopping:
            return "the platform is stopping"
        if not self._queue and self._view.nodes:
            return None
        if not self._view.nodes:
            return "there is no node"
        return self._queue.refusal(namespace, count)

    # 2. Publish: place and send now, or wait for a permit.

    def publish(self, message: ActivationMessage) -> asyncio.Future[Activation]:
        """Responsible from here on; the future resolves with the final record, or raises `Unavailable` when a
        blocking caller waited too long for a permit. Call `refusal` first."""
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
        self._send(pending, permit)
        return True

    # 4. Hand it over.

    def _send(self, pending: Pending, permit: Permit) -> None:
        sending = self._bus.send(node_topic(permit.node), pending.message)
        if sending.done():
            self._sent(pending, sending)
        else:
            sending.add_done_callback(lambda done: self._sent(pending, done))

    def _sent(self, pending: Pending, sending: asyncio.Future[None]) -> None:
        error = None if sending.cancelled() else sending.exception()
        if isinstance(error, Unavailable):
            self._unsent(pending, error)
        elif error is not None or sending.cancelled():
            self._unsent(pending, Unavailable())

    def _unsent(self, pending: Pending, error: Unavailable) -> None:
        self._release(pending)
        if pending.message.blocking and not pending.message.journalled:
            self._fail(pending, error)
        else:
            self._queue.push(pending.message.namespace, pending)

    # 5. The node's completion: permit back, caller answered, the next in the queue placed.

    def _completed(self, delivery: Delivery) -> None:
        message = delivery.message
        if isinstance(message, Completion):
            pending = self._pending.pop(message.activation_id, None)
            if pending is not None:
                self._release(pending)
                if not pending.done.done():
                    pending.done.set_result(message.record)
        elif isinstance(message, Returned):
            self._place_again(message)
        delivery.done()
        if self._queue:
            self._drain_queue()

    def _place_again(self, returned: Returned) -> None:
        pending = self._pending.get(returned.activation_id)
        if pending is not None:
            self._release(pending)
            pending.returned += 1
            self._queue.push(pending.message.namespace, pending)

    def _release(self, pending: Pending) -> None:
        if pending.permit is not None:
            pending.permit.release()
            pending.permit = None

    def _drain_queue(self) -> None:
        while self._queue and not self.stopping:
            if not self._queue.pop_first(self._try_dispatch):
                return

    # 6. Waiting has an end.

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep(_SWEEP_S)
            if self._queue:
                self._expire()
                self._drain_queue()

    def _expire(self) -> None:
        now, now_ms = self._clock.monotonic(), self._clock.now_ms()
        for pending in [p for p in self._pending.values() if p.permit is None]:
            message = pending.message
            if pending.wait_until is not None and now >= pending.wait_until and not message.journalled:
                self._forget(pending)
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

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        return len(self._pending) - len(self._queue)


def _ignore(pending: Pending) -> None:
    log.warning("expired work without an owner", action="balancer.expired", id=pending.message.activation_id)
