"""Whether CouchDB can be worked with: what requests saw, and a probe that asks on while they fail."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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
SILENT_S = 3.0
"""Who asked and has heard nothing for so long, of anything, looks whether there is anybody."""
ANSWER_S = 4.0
"""How long a small thing may take then, and everything while CouchDB fails."""


class Reach:
    """Reads and writes are told apart: a full disk answers the one and refuses the other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failing: dict[Lane, tuple[float, str]] = {}
        self._asking: dict[asyncio.Timeout, tuple[Lane, float]] = {}
        """Requests under way, and since when."""
        self._heard_at = clock.monotonic()
        self._wake = asyncio.Event()

    def fails(self, lane: Lane) -> bool:
        return lane in self._failing

    def heard(self) -> None:
        """Some answer came, be it a refusal: there is somebody."""
        self._heard_at = self._clock.monotonic()

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

    @asynccontextmanager
    async def asking(self, lane: Lane) -> AsyncIterator[None]:
        """Around one request: `TimeoutError` when CouchDB turns out to be silent."""
        async with asyncio.timeout(None) as patience:
            self._asking[patience] = lane, self._clock.monotonic()
            try:
                yield
            finally:
                del self._asking[patience]

    def answered(self, lane: Lane) -> None:
        if self._failing and self._failing.pop(lane, None) is not None:
            log.info("CouchDB works again", action="store.couchdb_works", lane=lane)

    async def listen(self, ask: Callable[[Lane], Awaitable[object]]) -> None:
        """Until cancelled: a host that is cut off, or a process that hangs, refuses nothing. When nothing was heard for
        `SILENT_S` though there are requests, `ask` a small thing; without an answer to that, all of them have failed."""
        while True:
            await self._clock.sleep(SILENT_S / 4)
            if not self._is_silent():
                continue
            try:
                async with asyncio.timeout(ANSWER_S):
                    await ask("read")
            except (TimeoutError, StoreUnavailable):
                if not self._is_silent():
                    continue
                self._break_off(f"CouchDB has not answered anything for {self._clock.monotonic() - self._heard_at:.0f} s")

    def _is_silent(self) -> bool:
        long_ago = self._clock.monotonic() - SILENT_S
        return self._heard_at < long_ago and any(since < long_ago for _, since in self._asking.values())

    def _break_off(self, why: str) -> None:
        now = asyncio.get_running_loop().time()
        for patience, (lane, _) in list(self._asking.items()):
            self.failed(lane, why)
            patience.reschedule(now)

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
