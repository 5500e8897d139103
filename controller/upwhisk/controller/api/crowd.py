"""While calls are refused (429, 503), requests are taken in together.

A process that is woken for one request at a time, between guests that use the cores, finds its caches cold: a refusal costs it
several times what it costs in a row of them (docs/performance.md). What that saves is left to the guests. It is the coalescing
of interrupts, for requests.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)
_LASTS_S = 0.25
"""It is crowded for so long after a refusal."""


class Taker(Protocol):
    """A connection that has heard something."""

    def take_in(self, data: bytes) -> None:
        """Go on with what was held."""

    def force_close(self) -> None: ...


class Crowd:
    """What connections have heard and is held, one piece for each. `together_s`: how long the first waits for company; 0: nothing
    is held. Belongs to a running loop."""

    def __init__(self, together_s: float) -> None:
        self._together_s = together_s
        self._loop = asyncio.get_running_loop()
        self._until = 0.0
        self._held: dict[Taker, bytes] = {}

    def refused(self) -> None:
        """A call was refused."""
        if self._together_s:
            self._until = self._loop.time() + _LASTS_S

    def holds(self, taker: Taker, data: bytes) -> bool:
        """Whether `data` is held: then `taker` takes it in within some milliseconds. Call `release` before any other piece."""
        if not self._until:
            return False
        if not self._held:
            if self._loop.time() > self._until:
                self._until = 0.0
                return False
            self._loop.call_later(self._together_s, self._take_in)
        self._held[taker] = data
        return True

    def release(self, taker: Taker) -> None:
        """`taker` takes in now what is held for it, if anything is."""
        data = self._held.pop(taker, None)
        if data is not None:
            taker.take_in(data)

    def forget(self, taker: Taker) -> None:
        """Its connection is gone."""
        self._held.pop(taker, None)

    def __len__(self) -> int:
        return len(self._held)

    def close(self) -> None:
        """Nothing is held any more: what waits is taken in now."""
        self._together_s = self._until = 0.0
        self._take_in()

    def _take_in(self) -> None:
        held, self._held = self._held, {}
        for taker, data in held.items():
            try:
                taker.take_in(data)
            except Exception:  # the others are to be heard all the same
                log.exception("a connection cannot go on", action="api.crowd")
                taker.force_close()
