"""Reading what a guest writes, without ever waiting for it."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
import time
from collections.abc import Callable, Iterable, Sequence

from upwhisk.common.spi.containers import LogChunk, Stream

CAPACITY = 1 << 20
_CHUNK = 65536
_MOST = 4 * CAPACITY
"""One read returns at most this much: a guest that writes as fast as we read must not hold the loop."""


class WatchedPipe:
    """The reading end of one stream."""

    def __init__(self, name: Stream, descriptor: int) -> None:
        self.name = name
        self._descriptor = descriptor
        self._watched = False

    def read(self) -> bytes:
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError:
            return b""  # closed already: nothing was left when it was
        if len(data) < _CHUNK:
            return data
        parts, total = [data], len(data)
        while total < _MOST and len(parts[-1]) == _CHUNK:
            try:
                parts.append(os.read(self._descriptor, _CHUNK))
            except BlockingIOError:
                break
            total += len(parts[-1])
        return b"".join(parts)

    def watch(self, notify: Callable[[], None] | None) -> None:
        if self._descriptor < 0:
            return
        loop = asyncio.get_running_loop()
        if self._watched:
            loop.remove_reader(self._descriptor)
        self._watched = notify is not None
        if notify is not None:
            loop.add_reader(self._descriptor, self._ready, notify)

    def _ready(self, notify: Callable[[], None]) -> None:
        waiting = array.array("i", [0])
        fcntl.ioctl(self._descriptor, termios.FIONREAD, waiting)
        if waiting[0]:
            notify()
        else:  # nobody can write any more, which is ready for ever
            self.watch(None)

    def close(self) -> None:
        if self._descriptor >= 0:
            self.watch(None)
            os.close(self._descriptor)
            self._descriptor = -1


class PipeLogs:
    """Both streams of a guest. `streams`: names and reading ends, which are closed with it."""

    def __init__(self, streams: Iterable[tuple[Stream, int]]) -> None:
        self._pipes = [WatchedPipe(name, descriptor) for name, descriptor in streams]

    def read(self) -> Sequence[LogChunk]:
        chunks: list[LogChunk] = []
        for pipe in self._pipes:
            data = pipe.read()
            if data:
                chunks.append(LogChunk(pipe.name, data, time.time_ns()))
        return chunks

    def watch(self, notify: Callable[[], None] | None) -> None:
        for pipe in self._pipes:
            pipe.watch(notify)

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()


def open_pipe() -> tuple[int, int]:
    """(reading end, writing end), as large as this user may make it."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reading, False)
    widen(reading)
    return reading, writing


def widen(pipe: int) -> None:
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, CAPACITY)
    except OSError:
        pass  # an ordinary user's pipes have a common bound
