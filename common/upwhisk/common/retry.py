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


def backoff_s(failures: int, *, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> float:
    """How long to wait after so many failures in a row: doubled each time up to `longest_s`, with jitter of half of it."""
    longest: float = min(longest_s, first_s * 2 ** min(failures, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


class Backoff:
    """Counts the failures in a row of one thing. `service`: which of `RETRIES` they are, if they are a service's."""

    def __init__(self, first_s: float = FIRST_S, longest_s: float = LONGEST_S, *, service: str = "") -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._service = service
        self.failures = 0

    def next_s(self) -> float:
        """One more failure: how long to wait after it."""
        if self._service:
            RETRIES[self._service] += 1
        wait_s = backoff_s(self.failures, first_s=self._first_s, longest_s=self._longest_s)
        self.failures += 1
        return wait_s

    def reset(self) -> None:
        self.failures = 0


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
