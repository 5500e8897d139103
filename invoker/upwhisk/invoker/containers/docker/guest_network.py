"""Reaching into a guest's network namespace: sockets that are made in there work from here, without any network.

So a container needs none of the engine's networks: the API's relay listens on its loopback, an image that serves a TCP
port is reached at its loopback, and the way out is our own cable. Needs root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable

from upwhisk.invoker.containers.namespaces import run_in_network
from upwhisk.invoker.containers.proxy_client import Connect, Connection

API_PORT = 3233
IMAGE_PORT = 8080
_BACKLOG = 128
_RETRY_S, _LONGEST_S = 0.003, 0.05


class GuestNetwork:
    """The network namespace of process `pid`. `OSError` if that may not be entered."""

    def __init__(self, pid: int) -> None:
        self.descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def relay_listener(self) -> socket.socket:
        """On the guest's loopback, for the platform's API."""

        def listen() -> socket.socket:
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(("127.0.0.1", API_PORT))
                listener.listen(_BACKLOG)
            except OSError:
                listener.close()
                raise
            return listener

        return run_in_network(self.descriptor, listen)

    def connect_when(self, alive: Callable[[], bool]) -> Connect:
        """Connects to the port that OpenWhisk's images serve; waits for it as long as the guest is `alive`."""

        async def connect(protocol: Callable[[], Connection]) -> object:
            loop, pause_s = asyncio.get_running_loop(), _RETRY_S
            while True:
                sock = run_in_network(self.descriptor, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
                sock.setblocking(False)
                try:
                    await loop.sock_connect(sock, ("127.0.0.1", IMAGE_PORT))
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return await loop.create_connection(protocol, sock=sock)
                except BaseException as error:
                    sock.close()
                    if not isinstance(error, ConnectionRefusedError) or not alive():
                        raise
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_S)

        return connect


def may_enter() -> bool:
    """Whether this process may enter network namespaces."""
    try:
        descriptor = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        with contextlib.suppress(OSError):
            run_in_network(descriptor, lambda: None)
            return True
        return False
    finally:
        os.close(descriptor)
