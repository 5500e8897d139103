"""Many deadlines that hardly ever pass, for the price of one timer.

A timer of the event loop for each of thousands of short calls a second is set and cancelled in vain. Here a call only
notes when it is due; the one timer that is armed rings for the earliest, and then looks for the next.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_EARLY_S = 0.001
"""Loops count milliseconds: a timer may ring that much before its time."""


class Deadlines(Generic[T]):
    """`passed` is called, on the event loop, with each item whose time has come and that was not removed before."""

    def __init__(self, passed: Callable[[T], None]) -> None:
        self._passed = passed
        self._due: dict[T, float] = {}
        self._armed = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def add(self, item: T, seconds: float) -> None:
        """From now on. An item that is there already gets the new time."""
        loop = asyncio.get_running_loop()
        due = self._due[item] = loop.time() + seconds
        if due < self._armed:
            self._arm(loop, due)

    def remove(self, item: T) -> None:
        """Idempotent. The timer stays: it finds nothing to do, or the next."""
        self._due.pop(item, None)

    def pass_all(self) -> None:
        """The time of every item has come."""
        due, self._due = self._due, {}
        for item in due:
            self._passed(item)

    def close(self) -> None:
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._armed = None, math.inf

    def _arm(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed = due
        self._timer = loop.call_at(due, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._armed = None, math.inf
        now = loop.time() + _EARLY_S
        for item in [item for item, due in self._due.items() if due <= now]:
            if self._due.pop(item, None) is not None:  # else another one's call removed it
                self._passed(item)
        if self._due and self._timer is None:
            self._arm(loop, min(self._due.values()))
