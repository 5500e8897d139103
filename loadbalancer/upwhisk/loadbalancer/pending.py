"""Work a balancer is responsible for, and how it is handed to its node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from upwhisk.common.clock import Clock
from upwhisk.common.errors import Unavailable, Unconfirmed
from upwhisk.common.ids import ActivationId, NodeId
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import NO_CONTAINER, Activation, Status
from upwhisk.common.spi.bus import MessageBus, node_topic
from upwhisk.loadbalancer.books import Permit
from upwhisk.loadbalancer.placement import Decision
from upwhisk.loadbalancer.tally import Outcome

_ANSWER_GRACE_S = 120.0
"""Beside the limits of init and run: waiting for a container on the node, its start, the bus."""
AGAIN_S, LONGEST_AGAIN_S = 20.0, 300.0
"""A node that has not answered for so long is handed the same again, in case it never had it; each time later."""

Handover = Callable[[ActivationMessage], asyncio.Future[Any]]
"""Makes durable that a message is about to be sent to the node it names; the send waits for it. Its result says whether
the message may be sent."""
Notify = Callable[["Pending"], None]


class Stopping(Exception):
    """The platform stops before this work was dispatched; it has to be made durable for the next start."""


def judged(record: Activation) -> Outcome:
    """What an outcome says of its node."""
    result = record.response.result
    unable = isinstance(result, dict) and result.get("error") == NO_CONTAINER
    return Outcome.PLATFORM_ERROR if unable and record.response.code is Status.WHISK_ERROR else Outcome.OK


class Phase(Enum):
    """`ENDING`: whoever ends it will resolve it; it is neither placed nor expired."""

    QUEUED = auto()
    HANDED = auto()
    ENDING = auto()


@dataclass(slots=True, eq=False)
class Pending:
    """`done` resolves with the final record.

    `wait_until`: monotonic second after which it may not wait for a permit any longer; None: until its age bound.
    `again_at`, `again_s`: when, and how long after the last time, it is sent again. `answer_by`: when the node that has it
    must have answered. `lost`: why its last node is lost. `returned`: how often a node gave it back.
    """

    message: ActivationMessage
    done: asyncio.Future[Activation]
    wait_until: float | None
    phase: Phase = Phase.QUEUED
    permit: Permit | None = None
    decision: Decision | None = None
    again_at: float = 0.0
    again_s: float = AGAIN_S
    answer_by: float = 0.0
    lost: str = ""
    returned: int = 0

    def release(self) -> None:
        if self.permit is not None:
            self.permit.release()
            self.permit = None

    @property
    def is_untouched(self) -> bool:
        """Nothing of it is kept, no node has it, and none had begun it: whoever is told so may ask elsewhere."""
        return self.phase is Phase.QUEUED and not self.message.journalled and self.message.attempt == 1

    def is_unanswered(self, now: float) -> bool:
        return self.phase is Phase.HANDED and now >= self.answer_by > 0

    def take_back(self) -> None:
        """No node has it any more."""
        self.release()
        self.message.node, self.message.incarnation = NodeId(""), ""

    def end(self, record: Activation) -> None:
        if not self.done.done():
            self.done.set_result(record)

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # not every caller waits


@dataclass(slots=True)
class Turns:
    """Where a hand-over may go instead: `back`: it was not sent, place it once more; `refused`: the log knows better;
    `unsent`: a caller waits for it who is to be told."""

    back: Notify
    refused: Notify
    unsent: Callable[[Pending, Unavailable], None]


class Sending:
    """Hands work over, after that is durable where it has to be, and again until the node has it."""

    def __init__(self, bus: MessageBus, clock: Clock, turns: Turns) -> None:
        self._bus = bus
        self._clock = clock
        self._turns = turns
        self._unconfirmed: dict[ActivationId, tuple[Pending, int]] = {}
        self.handover: Handover | None = None

    def refused_by(self, refused: Notify) -> None:
        self._turns.refused = refused

    def hand_over(self, pending: Pending) -> None:
        """Its message names the node."""
        pending.phase = Phase.HANDED
        pending.message.dispatch += 1
        pending.again_at, pending.again_s, pending.answer_by = 0.0, AGAIN_S, 0.0
        if self.handover is not None and pending.message.journalled:
            self._announce(pending, self.handover(pending.message))
        else:
            self.send(pending)

    def _announce(self, pending: Pending, announcing: asyncio.Future[Any]) -> None:
        dispatch = pending.message.dispatch

        def announced(done: asyncio.Future[Any]) -> None:
            if not _stands(pending, dispatch):
                return  # its node was lost in the meantime
            if done.cancelled() or done.exception() is not None:
                self._turns.back(pending)
            elif done.result() is False:
                pending.release()
                pending.phase = Phase.ENDING
                self._turns.refused(pending)
            else:
                self.send(pending)

        announcing.add_done_callback(announced)

    def send(self, pending: Pending, *, again: bool = False) -> None:
        """`again`: the node has had it already, most likely."""
        message = pending.message
        now = self._clock.monotonic()
        pending.again_at = now + pending.again_s
        pending.answer_by = pending.answer_by or now + 2 * message.demand.timeout_ms / 1000 + _ANSWER_GRACE_S
        sending, dispatch = self._bus.send(node_topic(message.node), message), message.dispatch
        if again:  # if it fails, the next reminder comes, or the time for its answer is up
            sending.add_done_callback(lambda done: done.cancelled() or done.exception())
        elif sending.done():
            self._sent(pending, sending, dispatch, Unavailable)
        else:
            sending.add_done_callback(lambda done: self._sent(pending, done, dispatch, Unconfirmed))

    def _sent(
        self, pending: Pending, sending: asyncio.Future[None], dispatch: int, error: type[Unavailable]
    ) -> None:
        """What failed may have arrived all the same: what is to be kept stays with this node and is sent to it again, which
        knows a hand-over it has had; a caller who waits is told, and has no id."""
        failed = sending.cancelled() or sending.exception() is not None
        if not failed or not _stands(pending, dispatch):
            return
        if pending.message.journalled:
            self._unconfirmed[pending.message.activation_id] = pending, dispatch
            return
        self._turns.unsent(pending, error.because("the message bus did not take it"))

    def again(self) -> None:
        """What was not confirmed."""
        waiting, self._unconfirmed = self._unconfirmed, {}
        for pending, dispatch in waiting.values():
            if _stands(pending, dispatch):
                self.send(pending)

    def remind(self, works: Iterable[Pending]) -> list[Pending]:
        """Send once more what nodes have been silent about for long. Those of `works` whose node's time to answer is up."""
        now, silent = self._clock.monotonic(), []
        for pending in works:
            if pending.is_unanswered(now):
                silent.append(pending)
            elif pending.phase is Phase.HANDED and now >= pending.again_at > 0.0:
                pending.again_s = min(LONGEST_AGAIN_S, 2 * pending.again_s)
                self.send(pending, again=True)
        return silent


def _stands(pending: Pending, dispatch: int) -> bool:
    return pending.phase is Phase.HANDED and pending.message.dispatch == dispatch
