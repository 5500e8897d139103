"""Writes that leave together, when the loop has done what was ready.

A write to a peer that sleeps wakes the core it sleeps on; in a virtual machine that costs more than the write itself. What
many tasks write in one turn of the loop goes out back to back, at the begin of the next: the first wakes the other core, the
rest find it awake.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

import structlog

log = structlog.get_logger(__name__)
_HELD_BYTES = 64 * 1024


class _Turn:
    """Whose writes are held in this turn of a loop."""

    def __init__(self) -> None:
        self._holding: list[GatheredTransport] = []

    def hold(self, one: GatheredTransport, loop: asyncio.AbstractEventLoop) -> None:
        if not self._holding:
            loop.call_soon(self._end)
        self._holding.append(one)

    def _end(self) -> None:
        holding, self._holding = self._holding, []
        for one in holding:
            try:
                one.flush()
            except Exception:
                log.exception("a connection cannot be written to", action="gathered.failed")
                one.abort()


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turn] = WeakKeyDictionary()


class GatheredTransport(asyncio.Transport):
    """`inner`, with what is written held for a moment; in order, and never much. Its protocol flushes when the peer has closed its
    end (`eof_received`): uvloop then closes `inner`."""

    def __init__(self, inner: asyncio.Transport) -> None:
        super().__init__()
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._turn = _turns.setdefault(self._loop, _Turn())
        self._held: list[Any] = []
        self._held_bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._held:
            self._turn.hold(self, self._loop)
        self._held.append(data if isinstance(data, bytes) else bytes(data))
        self._held_bytes += len(data)
        if self._held_bytes > _HELD_BYTES:
            self.flush()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        for data in list_of_data:
            self.write(data)

    def flush(self) -> None:
        """What is held goes out now, or nowhere if the connection is closing."""
        held, self._held, self._held_bytes = self._held, [], 0
        if held and not self._inner.is_closing():
            self._inner.write(held[0] if len(held) == 1 else b"".join(held))

    def close(self) -> None:
        self.flush()
        self._inner.close()

    def abort(self) -> None:
        self._held, self._held_bytes = [], 0
        self._inner.abort()

    def write_eof(self) -> None:
        self.flush()
        self._inner.write_eof()

    def can_write_eof(self) -> bool:
        return self._inner.can_write_eof()

    def get_write_buffer_size(self) -> int:
        return self._held_bytes + self._inner.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._inner.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._inner.set_write_buffer_limits(high, low)

    def is_closing(self) -> bool:
        return self._inner.is_closing()

    def is_reading(self) -> bool:
        return self._inner.is_reading()

    def pause_reading(self) -> None:
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._inner.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._inner.get_extra_info(name, default)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._inner.get_protocol()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._inner.set_protocol(protocol)
