"""A server for code that runs one activation at a time: several connections, one request after the other."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from .http1 import CONTINUE, BadRequest, Request, RequestReader, answer

_IDLE_MS = 50
Handler = Callable[[Request], "tuple[int, bytes]"]
RECEIVE = 64 * 1024
"""Bytes. More would be a mapping of its own for the allocator, made and given back on each call."""


class Connection:
    """One client and what it has sent so far."""

    __slots__ = ("reader", "socket")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.reader = RequestReader()


class BlockingServer:
    """Serves `listener` until `stop` is called by the handler; the connections are then the caller's.

    Half-sent requests wait without holding up other connections; a request that is being handled holds up all.
    `idle` is called once if nobody comes at first.
    """

    def __init__(self, listener: socket.socket, handle: Handler, idle: Callable[[], None] | None = None) -> None:
        self._listener = listener
        self._handle = handle
        self._poll = select.poll()
        self._connections: dict[int, Connection] = {}
        self._current: Connection | None = None
        self._stopped = False
        self._idle = idle

    def serve(self) -> list[Connection]:
        listening = self._listener.fileno()
        self._poll.register(listening, select.POLLIN)
        if self._idle is not None and not self._poll.poll(_IDLE_MS):
            self._idle()
        while not self._stopped:
            self._serve_ready(listening)
        return list(self._connections.values())

    def _serve_ready(self, listening: int) -> None:
        for fd, _ in self._poll.poll():
            if self._stopped:
                return
            if fd == listening:
                self._accept()
            elif (connection := self._connections.get(fd)) is not None:
                self._receive(connection)

    def stop(self) -> None:
        """Return from `serve` when the answer to the present request has been sent."""
        self._stopped = True

    def answer_now(self, status: int, body: bytes) -> None:
        """Answer the request that is being handled at once, for a handler that will not return."""
        if self._current is not None:
            self._send(self._current, answer(status, body))

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # the client has gone again
            return
        sock.setblocking(True)
        self._connections[sock.fileno()] = Connection(sock)
        self._poll.register(sock.fileno(), select.POLLIN)

    def _receive(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(RECEIVE)
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        reader = connection.reader
        reader.feed(data)
        try:
            while not self._stopped and (request := reader.take()) is not None:
                self._answer(connection, request)
        except BadRequest as error:
            self._send(connection, answer(error.status, b'{"error": "%b"}\n' % str(error).encode()))
            self._close(connection)
            return
        if reader.expects:
            reader.expects = False
            self._send(connection, CONTINUE)

    def _answer(self, connection: Connection, request: Request) -> None:
        self._current = connection
        status, body = self._handle(request)
        self._send(connection, answer(status, body))
        self._current = None
        if not request.keep:
            self._close(connection)

    def _send(self, connection: Connection, data: bytes) -> None:
        try:
            connection.socket.sendall(data)
        except OSError:  # nobody waits for it any more; the next recv finds the connection closed
            return

    def _close(self, connection: Connection) -> None:
        fd = connection.socket.fileno()
        if self._connections.pop(fd, None) is not None:
            self._poll.unregister(fd)
            connection.socket.close()
