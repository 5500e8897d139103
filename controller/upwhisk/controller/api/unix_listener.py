"""Unix sockets that only the platform's own user can open."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from upwhisk.common.errors import StartupError

_MODE: Final = 0o600


def bind_private(path: Path) -> socket.socket:
    """A socket bound to `path`; what a dead process left there is replaced. `StartupError` if it cannot be."""
    # The mode is set while the file is made: there is no moment in which others could open it.
    previous = os.umask(0o777 & ~_MODE)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise StartupError(f"cannot listen on '{path}': {error.strerror or error}") from None
    finally:
        os.umask(previous)
    return listener
