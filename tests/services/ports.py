"""Ports that nobody listens on."""

from __future__ import annotations

import random
import socket

from services.errors import Unavailable

_RANGE = range(15_000, 32_000)
"""Below the ephemeral range: a restarted service finds its port free, as no outgoing connection is given it."""
_TRIES = 200
_taken: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that this process has not been given before."""
    found: list[int] = []
    for port in random.sample(_RANGE, _TRIES):
        if len(found) == count:
            return found
        if port not in _taken and not _in_use(port):
            _taken.add(port)
            found.append(port)
    raise Unavailable(f"no {count} free ports among {_TRIES} tried on 127.0.0.1")


def _in_use(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
