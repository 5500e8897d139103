"""What a container writes, cut into lines and handed to the activations they belong to. Pure but for its sinks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.containers import ATTRIBUTION, SENTINEL, LogChunk, Stream
from upwhisk.common.spi.logs import LogSink

_SENTINEL = SENTINEL.encode()
_END = _SENTINEL + b"\n"
_MARKED = re.compile(re.escape(ATTRIBUTION.encode()) + rb"([0-9a-f]{32}) ")
_MAX_LINE = 64 * 1024
"""Longer lines are cut into pieces, each with the line's mark, so that a guest that never ends a line cannot hold the platform's
memory."""


def log_line(at_ns: int, stream: Stream, text: str) -> str:
    """`2026-08-05T12:00:00.000000000Z stdout: text`: UTC with nanoseconds, stream, text."""
    seconds, ns = divmod(at_ns, 1_000_000_000)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{ns:09d}Z {stream}: {text}"


class GuestOutput:
    """The two streams of one container.

    An activation is `open`ed before its run and `close`d after it. Lines that carry an activation's mark go to it, or, when
    it is over, nowhere: its log is closed, and they are no other's. Lines without one go to the only one running, or, when
    several are, to each of them marked `unattributed`.
    """

    def __init__(self) -> None:
        self._sinks: dict[ActivationId, LogSink] = {}
        self._ends: dict[ActivationId, int] = {}
        self._rest: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}

    def open(self, id: ActivationId, sink: LogSink) -> None:
        self._sinks[id] = sink
        self._ends[id] = 0

    @property
    def open_count(self) -> int:
        return len(self._sinks)

    def note(self, id: ActivationId, line: str) -> None:
        """The platform's own remark in one activation's log."""
        self._sinks[id].append((line,))

    def ended(self, id: ActivationId) -> bool:
        """Both streams have ended for this activation."""
        return self._ends.get(id, 2) >= 2

    def close(self, id: ActivationId) -> tuple[str, ...]:
        """End the activation's log; a last line without its end is kept if nobody else can own it."""
        sink = self._sinks[id]
        if len(self._sinks) == 1:
            self._flush_rest()
        del self._sinks[id], self._ends[id]
        return sink.close()

    def feed(self, chunks: Iterable[LogChunk]) -> None:
        for chunk in chunks:
            if chunk.data == _END and not self._rest[chunk.stream]:
                self._end_of(None)
            else:
                self._feed(chunk)

    def _feed(self, chunk: LogChunk) -> None:
        data = self._rest[chunk.stream] + chunk.data
        *lines, rest = data.split(b"\n")
        marked = _MARKED.match(rest)
        mark = b"" if marked is None else marked[0]
        while len(rest) > _MAX_LINE:
            lines.append(rest[:_MAX_LINE])
            rest = mark + rest[_MAX_LINE:]
        self._rest[chunk.stream] = rest
        for line in lines:
            self._line(chunk.stream, line, chunk.read_ns)

    def _line(self, stream: Stream, line: bytes, at_ns: int) -> None:
        before, sentinel, after = line.partition(_SENTINEL)
        if sentinel:
            if before:
                self._deliver(stream, before, at_ns)
            self._end_of(after.strip().decode("ascii", "replace") or None)
        else:
            self._deliver(stream, line, at_ns)

    def _deliver(self, stream: Stream, line: bytes, at_ns: int) -> None:
        marked = _MARKED.match(line)
        if marked is not None:
            owner = self._sinks.get(ActivationId(marked[1].decode()))
            if owner is not None:
                owner.append((log_line(at_ns, stream, line[marked.end() :].decode("utf-8", "replace")),))
            return
        text = line.decode("utf-8", "replace")
        if len(self._sinks) > 1:
            text = f"unattributed: {text}"
        for sink in self._sinks.values():
            sink.append((log_line(at_ns, stream, text),))

    def _end_of(self, id: str | None) -> None:
        if id is not None:
            if id in self._ends:
                self._ends[ActivationId(id)] += 1
            return
        for running in self._ends:
            self._ends[running] += 1

    def _flush_rest(self) -> None:
        for stream, rest in self._rest.items():
            if rest:
                self._rest[stream] = b""
                self._line(stream, rest, _now_ns())


def _now_ns() -> int:
    return int(datetime.now(UTC).timestamp() * 1_000_000_000)
