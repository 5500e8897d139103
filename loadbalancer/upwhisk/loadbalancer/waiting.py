"""Work without a node: in line for a permit, or resting after nodes gave it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from upwhisk.common.clock import Clock
from upwhisk.common.retry import backoff_s
from upwhisk.common.settings import QueueSettings
from upwhisk.loadbalancer.pending import Pending, Phase
from upwhisk.loadbalancer.queue import FairQueue

LOOK_S = 0.25
"""How often somebody looks who has rested or waited long enough."""


class Waiting:
    """`refused`: work that was not accepted, by reason."""

    def __init__(self, settings: QueueSettings, clock: Clock, refused: Counter[str]) -> None:
        self._settings = settings
        self._clock = clock
        self._refused = refused
        self._queue: FairQueue[Pending] = FairQueue(settings.max_length, settings.max_length_per_namespace)
        self._resting: dict[Pending, float] = {}
        """Not to be placed before this time."""

    def __len__(self) -> int:
        return len(self._queue) + len(self._resting)

    @property
    def has_line(self) -> bool:
        """Whether anything could be placed now if there were a permit."""
        return bool(self._queue)

    def refusal(self, namespace: str, count: int, *, waits_for: str) -> str | None:
        """Why `count` more of `namespace` do not fit, or None. `waits_for`: the action whose outcome a caller waits for, who
        is better told at once than after `queue.max_wait_s`; empty if nobody does."""
        reason = self._queue.refusal(namespace, count)
        if reason is not None:
            self._refused["queue_full"] += 1
        elif waits_for and (wait_s := self._expected_s(namespace, waits_for)) > self._settings.max_wait_s:
            self._refused["queue_slow"] += 1
            reason = f"the queue of namespace '{namespace}' takes {wait_s:.0f} s"
        return reason

    def _expected_s(self, namespace: str, action: str) -> float:
        return self._queue.expected_s(namespace, action, self._clock.monotonic())

    def push(self, pending: Pending) -> None:
        pending.phase = Phase.QUEUED
        self._queue.push(pending.message.namespace, pending.message.action.document_id, pending)

    def push_again(self, pending: Pending) -> None:
        """No node has it any more."""
        pending.take_back()
        self.push(pending)

    def push_returned(self, pending: Pending) -> None:
        """A node gave it back: at once to another; if that happens again, the nodes stop and we have not heard of it yet: later
        each time."""
        pending.returned += 1
        if pending.returned == 1:
            self.push_again(pending)
            return
        pending.take_back()
        pending.phase = Phase.QUEUED
        self._resting[pending] = self._clock.monotonic() + backoff_s(pending.returned, first_s=LOOK_S)

    def end_rests(self) -> None:
        now = self._clock.monotonic()
        for pending in [each for each, until in self._resting.items() if until <= now]:
            del self._resting[pending]
            self.push(pending)

    def place_next(self, takes: Callable[[Pending], bool]) -> bool:
        """Offer what is next of each namespace, in turn; False if none was taken."""
        return self._queue.pop_first(takes, self._clock.monotonic())

    def take_out(self, pending: Pending) -> None:
        if pending.phase is Phase.QUEUED and self._resting.pop(pending, None) is None:
            self._queue.remove(pending.message.namespace, pending.message.action.document_id, pending)

    def overdue(self, pendings: Iterable[Pending]) -> tuple[list[Pending], list[Pending]]:
        """Of these, whose caller has waited long enough and is told now, and what is too old. What is journalled waits until it
        is too old, whoever waits."""
        now, born_ms = self._clock.monotonic(), self._clock.now_ms() - self._settings.max_age_s * 1000
        late: list[Pending] = []
        old: list[Pending] = []
        for pending in pendings:
            if pending.phase is not Phase.QUEUED:
                continue
            if pending.wait_until is not None and now >= pending.wait_until and not pending.message.journalled:
                late.append(pending)
            elif pending.message.accepted_ms < born_ms:
                old.append(pending)
        return late, old
