"""What becomes of accepted work that has no record and that nobody runs any more. Pure."""

from __future__ import annotations

from enum import Enum, auto

from upwhisk.common.messages import MAX_ATTEMPTS, ActivationMessage
from upwhisk.common.model.action import SEQUENCE


class Verdict(Enum):
    RUN = auto()
    GO_ON = auto()
    END_STARTED = auto()
    END_TRIED = auto()
    END_EXPIRED = auto()


def judge(message: ActivationMessage, attempt: int, *, now_ms: int, max_age_s: float) -> Verdict:
    """`attempt`: how often it may have started. Work that had not started runs; work that had started runs again only if
    it is retry-safe, and at most three times in all; a sequence goes on from its progress."""
    if message.demand.kind == SEQUENCE:
        return Verdict.GO_ON
    if attempt == 0:
        expired = now_ms - message.accepted_ms > max_age_s * 1000
        return Verdict.END_EXPIRED if expired else Verdict.RUN
    if not message.retry_safe:
        return Verdict.END_STARTED
    return Verdict.RUN if attempt < MAX_ATTEMPTS else Verdict.END_TRIED
