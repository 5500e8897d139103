"""Standard output and error of a guest, and whose activation a line belongs to.

Code that runs one activation at a time writes plain lines. Code that runs several writes each line as
`\\x01<activation id> <text>`, in one system call, so that lines of different activations never mix. After a run the
sentinel goes to both streams, in the second case with the activation id behind it.
"""

from __future__ import annotations

import io
import os
import re
import sys
from contextvars import ContextVar

SENTINEL = b"XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
ATTRIBUTION = b"\x01"
_ID = re.compile(r"[0-9a-f]{32}")


class Attribution:
    """One run's unfinished lines. An id that is not 32 hexadecimal digits attributes nothing."""

    __slots__ = ("partial", "prefix", "suffix")

    def __init__(self, activation_id: object) -> None:
        known = isinstance(activation_id, str) and _ID.fullmatch(activation_id) is not None
        self.prefix = ATTRIBUTION + str(activation_id).encode() + b" " if known else b""
        self.suffix = b" " + str(activation_id).encode() if known else b""
        self.partial: dict[int, bytes] = {}


attribution: ContextVar[Attribution | None] = ContextVar("upwhisk_attribution", default=None)


class GuestPipe(io.BufferedIOBase):
    """The binary side of a stream. Unbuffered but for unfinished lines while lines are attributed."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.name = "<stdout>" if fd == 1 else "<stderr>"
        # A run may close or redirect the descriptor; the sentinel must get through all the same.
        self._private = os.dup(fd)
        self._attributed = False
        self._nobody = Attribution(None)
        self._line_open = False

    def fileno(self) -> int:
        return self._fd

    def writable(self) -> bool:
        return True

    def attribute(self) -> None:
        self._attributed = True

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]
        data = bytes(data)
        if self._attributed:
            self._write_lines(attribution.get() or self._nobody, data)
        elif data:
            _write_all(self._fd, data)
            self._line_open = data[-1] != 10
        return len(data)

    def end_run(self) -> None:
        """Finish an open line and write the sentinel, in one system call."""
        mark = b"\n" + SENTINEL + b"\n" if self._line_open else SENTINEL + b"\n"
        self._line_open = False
        self._write_private(mark)

    def end_attributed_run(self, run: Attribution) -> None:
        rest = run.partial.pop(self._fd, b"")
        line = run.prefix + rest + b"\n" if rest else b""
        self._write_private(line + SENTINEL + run.suffix + b"\n")

    def _write_private(self, data: bytes) -> None:
        try:
            _write_all(self._private, data)
        except OSError:  # the platform no longer reads
            return

    def _write_lines(self, run: Attribution, data: bytes) -> None:
        lines = (run.partial.pop(self._fd, b"") + data).split(b"\n")
        if lines[-1]:
            run.partial[self._fd] = lines[-1]
        for line in lines[:-1]:
            _write_all(self._fd, run.prefix + line + b"\n")


def _write_all(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        data = data[written:]
        written = os.write(fd, data)


class Streams:
    """The guest's two streams; `install` makes them `sys.stdout` and `sys.stderr`."""

    def __init__(self) -> None:
        self._out = GuestPipe(1)
        self._err = GuestPipe(2)
        self.stdout = _text(self._out)
        self.stderr = _text(self._err)

    def install(self) -> None:
        sys.stdout = sys.__stdout__ = self.stdout  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self.stderr  # type: ignore[misc]

    def attribute(self) -> None:
        """From now on every line says whose it is. What was written before belongs to nobody."""
        for stream, pipe in ((self.stdout, self._out), (self.stderr, self._err)):
            stream.reconfigure(write_through=True)
            pipe.attribute()

    def end_run(self) -> None:
        """Flush both streams and write the sentinels: output of one run at a time."""
        self._flush()
        self._out.end_run()
        self._err.end_run()

    def end_attributed_run(self, run: Attribution) -> None:
        self._out.end_attributed_run(run)
        self._err.end_attributed_run(run)

    def write(self, data: bytes) -> None:
        """Bytes for standard output, as they are."""
        self._out.write(data)

    def _flush(self) -> None:
        for stream in (self.stdout, self.stderr):
            _flush(stream)
        if sys.stdout is not self.stdout:
            _flush(sys.stdout)
        if sys.stderr is not self.stderr:
            _flush(sys.stderr)


def _text(pipe: GuestPipe) -> io.TextIOWrapper:
    return io.TextIOWrapper(
        pipe, encoding="utf-8", errors="backslashreplace", newline="\n", line_buffering=True
    )


def _flush(stream: object) -> None:
    try:
        stream.flush()  # type: ignore[attr-defined]
    except Exception:  # user code closed or replaced it: nothing left to flush
        return
