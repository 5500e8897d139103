"""An event loop whose time passes only when nothing can run: no test waits, and everything happens in one order."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any

_OUTSIDE_S = 5.0
"""So long a loop without timers waits for somebody outside it."""

_TURN_S = 1e-6
"""What one turn of the loop takes: who looks at the clock again and again sees it move."""


class _Selector(selectors.BaseSelector):
    """Moves the loop's time instead of waiting for it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(_OUTSIDE_S if timeout is None else 0)
        if timeout is None and not ready:
            raise RuntimeError("nothing will ever happen in this loop")
        if not ready:
            self.now += (timeout or 0) + _TURN_S
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now


class LoopClock:
    """The running loop's time as a `Clock`."""

    def __init__(self, start_ms: int = 1_754_400_000_000) -> None:
        self._start_ms = start_ms

    def now_ms(self) -> int:
        return self._start_ms + round(self.monotonic() * 1000)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
