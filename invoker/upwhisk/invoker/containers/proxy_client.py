"""POST to a guest's proxy: HTTP/1.1 with Content-Length over kept connections, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from upwhisk.common.deadlines import Deadlines
from upwhisk.common.gathered import GatheredTransport
from upwhisk.common.spi.containers import GuestAnswer

Connect = Callable[[Callable[[], "Connection"]], Awaitable[Any]]
_MAX_HEAD = 65536


class PeerClosed(Exception):
    """The guest closed the connection before it had answered."""


class Connection(asyncio.Protocol):
    """One request at a time. `ended` is called when the peer has gone."""

    def __init__(self, ended: Callable[[Connection], None]) -> None:
        self._ended = ended
        self._transport: GatheredTransport | None = None
        self._answer: asyncio.Future[GuestAnswer] | None = None
        self._kept = bytearray()
        self._maximum = 0
        self._status = 0  # 0: the head is not complete yet
        self._expected = -1  # -1: everything until the peer closes
        self._length = 0
        self.reusable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = GatheredTransport(cast("asyncio.Transport", transport))  # uvloop's are no subclasses

    def send(self, request: bytes, answer: asyncio.Future[GuestAnswer], maximum: int) -> None:
        """Send a whole request; `answer` gets what comes back, or `PeerClosed`."""
        self._answer, self._maximum = answer, maximum
        self._kept = bytearray()
        self._status, self._expected, self._length = 0, -1, 0
        if self._transport is None or self._transport.is_closing():
            answer.set_exception(PeerClosed())
        else:
            self._transport.write(request)

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self.close()  # it speaks unasked
        elif self._status:
            self._keep(data)
        else:
            self._kept += data
            end = self._kept.find(b"\r\n\r\n")
            if end >= 0:
                self._head(end)
            elif len(self._kept) > _MAX_HEAD:
                self.close()

    def _head(self, end: int) -> None:
        head, rest = bytes(self._kept[:end]).lower(), bytes(self._kept[end + 4 :])
        try:
            self._status = int(head[9:12])
            at = head.find(b"\r\ncontent-length:")
            if at >= 0:
                self._expected = int(head[at + 17 :].split(b"\r\n", 1)[0])
        except ValueError:
            self._status = 0
            self.close()
            return
        if self._expected < 0 or b"\r\nconnection: close" in head:
            self.reusable = False
        self._kept.clear()
        self._keep(rest)

    def _keep(self, data: bytes) -> None:
        self._length += len(data)
        room = self._maximum - len(self._kept)
        if room > 0:
            self._kept += data[:room]
        if self._expected >= 0 and self._length >= self._expected:
            self._finish()

    def _finish(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(GuestAnswer(self._status, bytes(self._kept), self._length))

    def eof_received(self) -> None:
        if self._transport is not None:
            self._transport.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.reusable = False
        if self._status and self._expected < 0:
            self._finish()
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(PeerClosed())
        self._ended(self)


class ProxyClient:
    """Keeps the connections to one guest. `connect` opens one with the protocol it is given."""

    def __init__(self, connect: Connect, keep: int = 8) -> None:
        self._connect = connect
        self._keep = keep
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._late: Deadlines[asyncio.Future[GuestAnswer]] = Deadlines(_expire)
        self._closed = False

    async def post(
        self, path: str, body: bytes, *, timeout_s: float, max_answer: int, single_use: bool = False
    ) -> GuestAnswer:
        """`TimeoutError` after `timeout_s`; `PeerClosed` when there is nobody, or nobody any more."""
        loop = asyncio.get_running_loop()
        if self._idle:
            connection = self._idle.pop()
        else:
            began = loop.time()
            connection = await self._open(timeout_s)
            timeout_s -= loop.time() - began
        answer: asyncio.Future[GuestAnswer] = loop.create_future()
        self._late.add(answer, timeout_s)
        self._busy.add(connection)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: guest\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        try:
            connection.send(head.encode() + body, answer, max_answer)
            result = await answer
        except BaseException:
            connection.close()
            raise
        finally:
            self._late.remove(answer)
            self._busy.discard(connection)
        self._put_back(connection, single_use)
        return result

    async def _open(self, timeout_s: float) -> Connection:
        if self._closed:
            raise PeerClosed
        try:
            async with asyncio.timeout(timeout_s):
                _, connection = await self._connect(lambda: Connection(self._ended))
        except TimeoutError:
            raise
        except OSError:
            raise PeerClosed from None
        assert isinstance(connection, Connection)
        return connection

    def _put_back(self, connection: Connection, single_use: bool) -> None:
        if single_use or self._closed or not connection.reusable or len(self._idle) >= self._keep:
            connection.close()
        else:
            self._idle.append(connection)

    def _ended(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Abandon every call; idempotent."""
        self._closed = True
        self._late.close()
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()


def _expire(answer: asyncio.Future[GuestAnswer]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
