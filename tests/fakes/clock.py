"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
from itertools import count


class ManualClock:
    """`advance` wakes sleepers in the order of their times and lets them run up to their next wait."""

    def __init__(self, now_ms: int = 1_754_400_000_000) -> None:
        self._now_s = now_ms / 1000
        self._monotonic = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now_ms(self) -> int:
        return round(self._now_s * 1000)

    def monotonic(self) -> float:
        return self._monotonic

    @property
    def sleepers(self) -> int:
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + max(0.0, seconds), next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        target = self._monotonic + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= target + 1e-9:
            at, _, future = heapq.heappop(self._sleepers)
            self._move(max(at, self._monotonic))
            if not future.done():
                future.set_result(None)
                await self.settle()
        self._move(target)
        await self.settle()

    def set_wall(self, now_ms: int) -> None:
        """Somebody sets the wall clock; durations do not notice."""
        self._now_s = now_ms / 1000

    async def settle(self, turns: int = 20) -> None:
        """Let whatever can run do so."""
        for _ in range(turns):
            await asyncio.sleep(0)

    def _move(self, monotonic: float) -> None:
        self._now_s += monotonic - self._monotonic
        self._monotonic = monotonic


class HastyClock:
    """A clock whose sleeps take no time but its own."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._now_s = 0.0

    def now_ms(self) -> int:
        return 1_754_400_000_000 + round(self._now_s * 1000)

    def monotonic(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now_s += seconds
        await asyncio.sleep(0)
