"""The folder through which a guest gets its descriptors, mounted read-only into its container.

The guest opens two pipes for its output, connects to the socket `birth`, and is handed the socket on which it listens:
the same descriptors as a forked guest has. Nothing of this needs a network, the engine, or a place that a guest may fill.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
from pathlib import Path

from upwhisk.common.spi.containers import Stream
from upwhisk.invoker.containers.readiness import widen

_BACKLOG = 128
_STREAMS: tuple[Stream, Stream] = ("stdout", "stderr")
_FOR_GUESTS = 0o622  # the folder around keeps others of this host out
_PASSWD = "root:x:0:0:root:/:/bin/false\nguest:x:{uid}:{uid}:guest:/tmp:/bin/sh\n"  # noqa: S105


class Birthplace:
    """`folder` is the guest's; `address` is where it will listen. Made on the event loop; whoever makes it closes it."""

    def __init__(self, parent: Path, name: str, uid: int) -> None:
        self.folder = parent / name
        self.address = parent / f"{name}.s"
        self.born = False
        self.settled = asyncio.Event()
        """Set when it was born, or never will be."""
        self.streams: list[tuple[Stream, int]] = []
        self._uid = uid
        self._birth: socket.socket | None = None
        self._listener: socket.socket | None = None

    def make(self) -> None:
        """`OSError` when it cannot be made; nothing is left then."""
        try:
            self.folder.mkdir(mode=0o755)
            self.folder.chmod(0o755)  # the umask of a platform may be stricter
            (self.folder / "passwd").write_text(_PASSWD.format(uid=self._uid), encoding="ascii")
            for name in _STREAMS:
                self.streams.append((name, _pipe(self.folder / name)))
            self._birth = _listening(self.folder / "birth", 1)
            os.chmod(self.folder / "birth", _FOR_GUESTS)
            self._listener = _listening(self.address, _BACKLOG)
            asyncio.get_running_loop().add_reader(self._birth.fileno(), self._deliver)
        except OSError:
            self.close()
            raise

    def _deliver(self) -> None:
        assert self._birth is not None
        assert self._listener is not None
        try:
            channel, _ = self._birth.accept()
        except OSError:
            return
        with channel, contextlib.suppress(OSError):
            channel.settimeout(0)
            socket.send_fds(channel, [b"1"], [self._listener.fileno()])
            self.born = True
        self.give_up()

    def give_up(self) -> None:
        """Once the guest has its socket, or has died before: the socket's end is then the guest's end, and no other
        process of the guest can be born. Idempotent."""
        if self._birth is not None:
            asyncio.get_running_loop().remove_reader(self._birth.fileno())
            self._birth.close()
            self._birth = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        self.settled.set()
        for name in ("birth", *_STREAMS):
            with contextlib.suppress(OSError):
                (self.folder / name).unlink()

    def close(self) -> None:
        """Idempotent. The descriptors of `streams` stay whoever took them's, unless nobody did."""
        self.give_up()
        for _, descriptor in self.streams:
            os.close(descriptor)
        self.streams = []
        with contextlib.suppress(OSError):
            self.address.unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def take_streams(self) -> list[tuple[Stream, int]]:
        taken, self.streams = self.streams, []
        return taken


def _pipe(path: Path) -> int:
    os.mkfifo(path)
    os.chmod(path, _FOR_GUESTS)
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    widen(descriptor)
    return descriptor


def _listening(path: Path, backlog: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener
