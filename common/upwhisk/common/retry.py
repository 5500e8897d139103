"""The one rule for temporary failures: try again, later each time, not all at once, and say so."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from upwhisk.common.errors import Unavailable

log = structlog.get_logger(__name__)
T = TypeVar("T")

FIRST_S = 0.1
LONGEST_S = 5.0

RETRIES: Counter[str] = Counter()
"""What this process has tried again, by the service that failed: `store`, `bus`, `registry`."""


def backoff_s(failures: int) -> float:
    """How long to wait after so many failures in a row: doubled each time up to 5 s, with jitter of half of it."""
    longest: float = min(LONGEST_S, FIRST_S * 2 ** min(failures, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


async def kept_trying(work: Callable[[], Awaitable[T]], *, what: str, service: str = "bus") -> T:
    """Until it succeeds or the task is cancelled: for what must not be lost while a service is away."""
    failures = 0
    while True:
        try:
            return await work()
        except Unavailable as error:
            RETRIES[service] += 1
            log.warning("tried again", action="retry", what=what, failures=failures + 1, reason=error.text)
        await asyncio.sleep(backoff_s(failures))
        failures += 1
