"""What becomes of work that nobody runs any more."""

from __future__ import annotations

import msgspec
import pytest
from fakes.samples import START_MS, message

from upwhisk.common.messages import Demand
from upwhisk.common.model.action import SEQUENCE
from upwhisk.controller.verdict import Verdict, judge


@pytest.mark.parametrize(
    ("attempt", "retry_safe", "age_s", "verdict"),
    [
        (0, False, 10, Verdict.RUN),
        (0, False, 101, Verdict.END_EXPIRED),
        (0, True, 101, Verdict.END_EXPIRED),
        (1, False, 10, Verdict.END_STARTED),
        (1, True, 10, Verdict.RUN),
        (2, True, 101, Verdict.RUN),
        (3, True, 10, Verdict.END_TRIED),
    ],
)
def test_work(attempt: int, retry_safe: bool, age_s: int, verdict: Verdict) -> None:
    work = msgspec.structs.replace(message(), retry_safe=retry_safe)
    assert judge(work, attempt, now_ms=START_MS + age_s * 1000, max_age_s=100) is verdict


def test_a_sequence_goes_on_whatever_its_age() -> None:
    demand = Demand(kind=SEQUENCE, memory_mb=256, timeout_ms=60_000)
    work = msgspec.structs.replace(message(), demand=demand)
    assert judge(work, 0, now_ms=START_MS + 10**9, max_age_s=100) is Verdict.GO_ON
