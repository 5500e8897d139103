"""One run of a native action's executable: argument in, log lines and the last line out."""

from __future__ import annotations

import os
import selectors
import subprocess
from collections.abc import Callable

MAX_ARGUMENT = 131_071
"""Characters; the kernel takes no longer argument."""
MAX_LAST_LINE = 16 * 1024 * 1024
"""Bytes. A line that grows longer is passed on as log, and the result is what follows it."""
_CHUNK = 64 * 1024
_LOOK_S = 0.02


def run_process(executable: str, argument: str, log: Callable[[bytes], object]) -> bytes:
    """Run it with `argument` on standard input and, if short, as its only argument.

    Lines of its standard output go to `log` as they come, but for the last, which is returned without its newline.
    Its standard error is ours. Processes that it leaves behind are not waited for. Raises OSError if it cannot start.
    """
    command = [executable, argument] if len(argument) <= MAX_ARGUMENT else [executable]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        return _Exchange(process, argument.encode(), log).run()


class _Exchange:
    """Feeds one process and reads it, without waiting for either pipe alone."""

    def __init__(self, process: subprocess.Popen[bytes], data: bytes, log: Callable[[bytes], object]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._left = memoryview(data)
        self._log = log
        self._last = b""

    def run(self) -> bytes:
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdin, selectors.EVENT_WRITE)
            selector.register(self._stdout, selectors.EVENT_READ)
            while True:
                gone = self._process.poll() is not None
                ready = [key.fileobj for key, _ in selector.select(0 if gone else _LOOK_S)]
                if self._stdin in ready and self._feed():
                    selector.unregister(self._stdin)
                    self._stdin.close()
                if self._stdout in ready and self._read():
                    break
                if gone and self._stdout not in ready:
                    break
        return self._last.rstrip(b"\n")

    def _feed(self) -> bool:
        """True when there is nothing left to write."""
        try:
            self._left = self._left[os.write(self._stdin.fileno(), self._left[:_CHUNK]) :]
        except BlockingIOError:
            return False
        except OSError:  # it does not read its input
            return True
        return not self._left

    def _read(self) -> bool:
        """True at the end."""
        try:
            data = os.read(self._stdout.fileno(), _CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._keep(data)
        return not data

    def _keep(self, data: bytes) -> None:
        text = self._last + data
        # The last newline ends the last line only if nothing follows.
        cut = text.rfind(b"\n", 0, len(text) - 1) + 1
        if len(text) - cut > MAX_LAST_LINE:
            cut = len(text)
        if cut:
            self._log(text[:cut])
        self._last = text[cut:]
