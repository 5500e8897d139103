"""From a listening socket to an action that is served."""

from __future__ import annotations

import os
import site
import socket
import sys
from typing import TYPE_CHECKING

from . import upwhisk_action
from .blocking import BlockingServer
from .preload import PRELOAD
from .python_app import PythonApp, load_rest
from .streams import Streams

if TYPE_CHECKING:
    from .python_async import AsyncServer


def serve(listen_fd: int, library: str | None = None) -> None:
    """Serve /init and /run on a listening socket, until the process is killed.

    The process is taken over: its streams become the guest's, its working directory the code's, its `sys.path` gets
    the folder `library` of preinstalled packages.
    """
    streams = Streams()
    streams.install()
    listener = socket.socket(fileno=listen_fd)
    listener.set_inheritable(False)
    _prepare_interpreter(library)
    app = PythonApp(streams, os.environ.get("TMPDIR", "/tmp"))
    blocking = BlockingServer(listener, app.handle, _use_time)
    app.on_concurrent = blocking.stop
    _catch_exit(app, blocking)
    connections = blocking.serve()
    streams.attribute()
    from .python_async import AsyncServer  # loaded by now, or by code of one file that brings no modules

    concurrent = AsyncServer(app, streams, listener)
    _catch_exit(app, concurrent)
    concurrent.serve(connections)


def _use_time() -> None:
    """Nobody has come yet: do ahead what a first activation would wait for. Forked guests find it done."""
    load_rest()
    for name in PRELOAD:
        try:
            __import__(name)
        except ImportError:
            continue  # an interpreter that was built without it
    from .rehearsal import rehearse_once

    rehearse_once()


def _prepare_interpreter(library: str | None) -> None:
    sys.dont_write_bytecode = True
    sys.argv = ["action"]
    sys.modules["upwhisk_action"] = upwhisk_action
    if library is not None and library not in sys.path:
        sys.path.append(library)
    # Without the site module code would lack what every other Python has.
    site.setquit()
    os.environ.setdefault("__OW_EXECUTION_ENV", "upwhisk/python:%d.%d" % sys.version_info[:2])


_exit = os._exit


def _catch_exit(app: PythonApp, server: BlockingServer | AsyncServer) -> None:
    """`os._exit` of user code still ends this process at once, but its caller gets an answer first."""
    pid = os.getpid()

    def exit_with_answer(status: int) -> None:
        if os.getpid() == pid:
            if isinstance(server, BlockingServer):
                server.answer_now(*app.exiting())
            else:
                server.exiting()
        _exit(status)

    os._exit = exit_with_answer  # type: ignore[assignment]
