"""Work the balancer is responsible for, and what it tells those who decide on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import NO_CONTAINER, Activation, Status
from upwhisk.loadbalancer.books import Permit
from upwhisk.loadbalancer.placement import Decision
from upwhisk.loadbalancer.tally import Outcome

_ANSWER_GRACE_S = 120.0
"""Beside the limits of init and run: waiting for a container on the node, its start, the bus."""

Handover = Callable[[ActivationMessage], asyncio.Future[bool]]
"""Makes durable that a message is about to be sent to the node it names; the send waits for it. False: do not send it."""
NodeLost = Callable[["Pending", str], None]


def judged(record: Activation) -> Outcome:
    """What an outcome says of its node."""
    result = record.response.result
    unable = isinstance(result, dict) and result.get("error") == NO_CONTAINER
    return Outcome.PLATFORM_ERROR if unable and record.response.code is Status.WHISK_ERROR else Outcome.OK


class Stopping(Exception):
    """The platform stops before this work was dispatched; it has to be made durable for the next start."""


@dataclass(slots=True, eq=False)
class Pending:
    """Work the balancer is responsible for. `done` resolves with the final record.

    `wait_until`: monotonic second after which it may not wait for a permit any longer; None: until its age bound.
    `answer_by`: monotonic second by which the node that has it must have answered.
    """

    message: ActivationMessage
    done: asyncio.Future[Activation]
    wait_until: float | None
    permit: Permit | None = None
    decision: Decision | None = None
    returned: int = field(default=0)
    answer_by: float = 0.0

    def sent_at(self, now: float) -> None:
        """From now on the node has its time to answer."""
        self.answer_by = now + 2 * self.message.demand.timeout_ms / 1000 + _ANSWER_GRACE_S
