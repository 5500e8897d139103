"""Time as an object, so that tests decide what time it is."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Durations come from `monotonic`; `now_ms` is for time stamps that people and clients read."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...

    async def sleep(self, seconds: float) -> None: ...


def seconds_since_boot() -> float:
    """They also pass while the machine is suspended: what a lease is measured by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    monotonic = staticmethod(time.monotonic)  # asked a dozen times for each activation

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
