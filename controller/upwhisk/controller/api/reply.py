"""An answer, written with one call: the head is joined from prepared parts.

aiohttp's own `Response` builds its headers in a multi-dict for every answer; measured, that is the dearest part of a
small request. A `Reply` offers the four things that aiohttp's server asks of a response instead.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

import msgspec
from aiohttp.web import BaseRequest

JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=UTF-8"

CORS: Final = (
    "Access-Control-Allow-Origin: *\r\n"
    "Access-Control-Allow-Headers: Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent\r\n"
    "Access-Control-Allow-Methods: GET, DELETE, POST, PUT, HEAD\r\n"
)
OPERATOR_CORS: Final = CORS.replace("GET, DELETE, POST, PUT, HEAD", "OPTIONS, GET, POST")
_DRAIN_ABOVE: Final = 64 * 1024
_DRAIN_S: Final = 60.0
_STATUS_LINES: Final = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n" for s in HTTPStatus}
_NO_BODY: Final = frozenset({204, 304})

encode: Final = msgspec.json.Encoder().encode


class _DateHeader:
    """The `Date` line, made anew once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = ""

    def line(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\nServer: upwhisk\r\n"
        return self._line


_date = _DateHeader()


class Reply:
    """`headers`: further header lines, each ended by CRLF. `close`: end the connection after this answer."""

    __slots__ = ("body", "close", "content_type", "cors", "headers", "keep_alive", "status", "transaction_id")

    def __init__(
        self,
        status: int,
        body: bytes = b"",
        content_type: str = JSON,
        headers: str = "",
        *,
        close: bool = False,
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = headers
        self.close = close
        self.cors = CORS
        self.keep_alive = False
        self.transaction_id = ""

    async def prepare(self, request: BaseRequest) -> None:
        """Write the whole answer. aiohttp calls this once, then `write_eof`."""
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client is gone")
        self.keep_alive = request.keep_alive and not self.close
        body = b"" if request.method == "HEAD" or self.status in _NO_BODY else self.body
        transport.write(self._head(self._connection_line(request)).encode("latin-1") + body)
        if transport.get_write_buffer_size() > _DRAIN_ABOVE:
            await self._drain(request, transport)

    @staticmethod
    async def _drain(request: BaseRequest, transport: asyncio.Transport) -> None:
        """Wait for a client that reads more slowly than it asks, but not for ever."""
        try:
            async with asyncio.timeout(_DRAIN_S):
                await request.writer.drain()
        except TimeoutError:
            transport.abort()
            raise ConnectionResetError("the client does not read its answers") from None

    async def write_eof(self) -> None:
        """Everything has been written by `prepare`."""

    def closing_bytes(self) -> bytes:
        """The answer to a request that could not be read; the connection ends with it."""
        return self._head("Connection: close\r\n").encode("latin-1") + self.body

    def _connection_line(self, request: BaseRequest) -> str:
        if not self.keep_alive:
            return "Connection: close\r\n"
        return "" if request.version.minor else "Connection: keep-alive\r\n"

    def _head(self, connection: str) -> str:
        entity = "" if self.status in _NO_BODY else self._entity_lines()
        line = _STATUS_LINES[self.status]
        identity = f"X-Request-ID: {self.transaction_id}\r\n"
        return f"{line}{entity}{identity}{self.headers}{self.cors}{_date.line()}{connection}\r\n"

    def _entity_lines(self) -> str:
        kind = f"Content-Type: {self.content_type}\r\n" if self.body else ""
        return f"{kind}Content-Length: {len(self.body)}\r\n"


def json_reply(value: Any, status: int = 200, headers: str = "") -> Reply:
    return Reply(status, encode(value), JSON, headers)


def text_reply(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), TEXT)
