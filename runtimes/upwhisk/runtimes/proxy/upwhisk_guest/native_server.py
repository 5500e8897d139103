"""From a listening socket to a native action that is served."""

from __future__ import annotations

import os
import socket

from .blocking import BlockingServer
from .native_app import NativeApp
from .streams import Streams


def serve(listen_fd: int) -> None:
    """Serve /init and /run on a listening socket, until the process is killed."""
    streams = Streams()
    streams.install()
    listener = socket.socket(fileno=listen_fd)
    listener.set_inheritable(False)
    os.environ.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    app = NativeApp(streams, os.environ.get("TMPDIR", "/tmp"))
    BlockingServer(listener, app.handle).serve()
