"""Logs inside the record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from upwhisk.common.clock import Clock, SystemClock
from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.logs import LogSink, LogStore

TRUNCATED = "Logs were truncated because the total bytes size exceeds the limit of {} bytes."


class InlineSink(LogSink):
    """Counts the bytes of the lines as they are kept, each with its line end."""

    def __init__(self, limit_bytes: int, clock: Clock) -> None:
        self._limit = limit_bytes
        self._clock = clock
        self._left = limit_bytes
        self._lines: list[str] = []
        self._truncated = False

    def append(self, lines: Sequence[str]) -> None:
        for line in lines:
            if self._truncated or self._limit == 0:
                return
            size, text = len(line), line
            if not line.isascii():
                data = line.encode(errors="replace")  # half a surrogate pair cannot be stored in a record
                size, text = len(data), data.decode()
            if size + 1 > self._left:
                self._cut(text)
                return
            self._left -= size + 1
            self._lines.append(text)

    def close(self) -> tuple[str, ...]:
        if not self._truncated:
            return tuple(self._lines)
        return (*self._lines, log_line(self._clock.now_ms(), "stderr", TRUNCATED.format(self._limit)))

    def _cut(self, line: str) -> None:
        """Keep the part of the line that fits, whole characters only."""
        self._truncated = True
        fits = line.encode()[: max(0, self._left - 1)].decode(errors="ignore")
        if fits:
            self._lines.append(fits)
        self._left = 0


class InlineLogStore(LogStore):
    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()

    async def start(self) -> None:
        """Nothing to wait for."""

    async def aclose(self) -> None:
        """Nothing to give back."""

    def open(self, namespace: str, id: ActivationId, *, limit_bytes: int) -> LogSink:
        return InlineSink(limit_bytes, self._clock)

    async def read(self, namespace: str, id: ActivationId, recorded: Sequence[str]) -> list[str]:
        return list(recorded)


def log_line(now_ms: int, stream: str, text: str) -> str:
    """One line in the form of OpenWhisk's logs: a time stamp in UTC with nanoseconds, stream, text."""
    seconds, ms = divmod(now_ms, 1000)
    stamp = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}000000Z"
    return f"{stamp:<30} {stream}: {text}"
