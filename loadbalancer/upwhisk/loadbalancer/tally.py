"""What a controller makes of a node from the outcomes of its last activations. Pure.

OpenWhisk's rule (`InvokerSupervision`): of the last ten, more than three platform errors make a node unhealthy, more than
three time-outs unresponsive. There a test action finds out whether it works again; here, 30 s later, one activation does,
as in a circuit breaker that is half open.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Final

from upwhisk.common.spi.nodes import NodeReport, NodeState

KEPT: Final = 10
TOLERATED: Final = 3
RETRY_S: Final = 30.0


class Outcome(StrEnum):
    """How an activation ended for the node that had it. What the action did wrong is `OK`: the node worked.

    `TIMEOUT`: no outcome came by its deadline."""

    OK = "ok"
    PLATFORM_ERROR = "platform_error"
    TIMEOUT = "timeout"


class Tally:
    """`state` None: nothing is held against the node. `retry_at`: second of the caller's clock from which on one
    activation may try it."""

    __slots__ = ("_last", "_trying", "reason", "retry_at", "state")

    def __init__(self) -> None:
        self._last: deque[Outcome] = deque(maxlen=KEPT)
        self._clear()

    def _clear(self) -> None:
        self._last.clear()
        self.state: NodeState | None = None
        self.reason = ""
        self.retry_at = 0.0
        self._trying = False

    def record(self, outcome: Outcome, now: float) -> bool:
        """True if the verdict is another one, or the time of the next try."""
        self._last.append(outcome)
        if self.state is None:
            return self._judge(now)
        if outcome is Outcome.OK:
            if self._trying or not self._found():
                self._clear()
                return True
        elif self._trying:
            found = self._found()
            self._distrust(found or (self.state, "it failed again when one activation tried it"), now)
            return True
        return False

    def is_open(self, now: float) -> bool:
        """One activation may try the node."""
        return self.state is not None and now >= self.retry_at

    def standing(self, report: NodeReport, now: float) -> tuple[NodeState, str]:
        """State and reason that placement goes by: what is held against the node counts before its own word, but for
        its being gone."""
        if self.state is None or report.state is NodeState.OFFLINE or self.is_open(now):
            return report.state, report.reason
        return self.state, self.reason

    def tried(self, now: float) -> None:
        """An activation was sent to find out. Another may follow if nothing is heard of it for as long as before."""
        self._trying = True
        self.retry_at = now + RETRY_S
        self.reason = "one activation tries whether it works again"

    def _judge(self, now: float) -> bool:
        found = self._found()
        if found is not None:
            self._distrust(found, now)
        return found is not None

    def _distrust(self, found: tuple[NodeState, str], now: float) -> None:
        self.state, self.reason = found
        self.retry_at = now + RETRY_S
        self._trying = False

    def _found(self) -> tuple[NodeState, str] | None:
        errors, timeouts = self._last.count(Outcome.PLATFORM_ERROR), self._last.count(Outcome.TIMEOUT)
        if errors > TOLERATED:
            return NodeState.UNHEALTHY, f"{errors} of its last {len(self._last)} activations ended with platform errors"
        if timeouts > TOLERATED:
            return NodeState.UNRESPONSIVE, f"{timeouts} of its last {len(self._last)} activations did not end in time"
        return None
