"""Whether CouchDB can be worked with: what requests saw, and a probe that asks on while they fail."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Literal

import structlog

from upwhisk.backends.store.couchdb_answers import delay_s
from upwhisk.common.clock import Clock
from upwhisk.common.errors import StoreUnavailable

log = structlog.get_logger(__name__)

Lane = Literal["read", "write"]
GRACE_S = 1.0
"""A failure that is over so soon stays between the request and its next attempt."""
_SLOWEST_PROBE_S = 1.0


class Reach:
    """Reads and writes are told apart: a full disk answers the one and refuses the other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failing: dict[Lane, tuple[float, str]] = {}
        self._wake = asyncio.Event()

    @property
    def reason(self) -> str | None:
        """Why CouchDB cannot be worked with; None while it can be, or has failed for less than `GRACE_S`."""
        if not self._failing:
            return None
        began, why = min(self._failing.values())
        return why if self._clock.monotonic() - began >= GRACE_S else None

    def failed(self, lane: Lane, why: str) -> None:
        if lane not in self._failing:
            log.warning("CouchDB fails", action="store.couchdb_fails", lane=lane, reason=why)
        began = self._failing[lane][0] if lane in self._failing else self._clock.monotonic()
        self._failing[lane] = (began, why)
        self._wake.set()

    def answered(self, lane: Lane) -> None:
        if self._failing and self._failing.pop(lane, None) is not None:
            log.info("CouchDB works again", action="store.couchdb_works", lane=lane)

    async def probe(self, ask: Callable[[Lane], Awaitable[object]]) -> None:
        """Until cancelled: while a lane fails, `ask` by it, which tells `answered` or raises `StoreUnavailable`."""
        while True:
            await self._wake.wait()
            attempt = 0
            while self._failing:
                await self._clock.sleep(min(_SLOWEST_PROBE_S, delay_s(attempt, random.random())))  # noqa: S311 - spreads probes
                attempt += 1
                for lane in list(self._failing):
                    try:
                        await ask(lane)
                    except StoreUnavailable:
                        pass  # `ask` has told `failed`
            self._wake.clear()
