"""What each namespace may use, cached until somebody changes it."""

from __future__ import annotations

from typing import Final

from upwhisk.common.clock import Clock
from upwhisk.common.model.identity import UNLIMITED, NamespaceLimits
from upwhisk.common.spi.store import SubjectStore

MAX_AGE_S: Final = 300.0
MAX_CACHED: Final = 4096


class KnownLimits:
    """For at most five minutes; `forget` drops them all at once."""

    def __init__(self, subjects: SubjectStore, clock: Clock) -> None:
        self._subjects = subjects
        self._clock = clock
        self._cache: dict[str, tuple[NamespaceLimits, float]] = {}
        self._generation = 0

    def forget(self) -> None:
        self._generation += 1
        self._cache.clear()

    async def of(self, namespace: str) -> NamespaceLimits:
        """`StoreUnavailable` if they are not known and cannot be read."""
        known = self._cache.get(namespace)
        if known is not None and known[1] >= self._clock.monotonic():
            return known[0]
        generation = self._generation
        limits = await self._subjects.limits(namespace) or UNLIMITED
        if generation == self._generation:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[namespace] = limits, self._clock.monotonic() + MAX_AGE_S
        return limits
