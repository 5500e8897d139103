"""aiohttp's connection handler with three things added: our error shape for bytes that are no request, a deadline
for the head of a request, silence in the log about both; and requests that are taken in together where it is crowded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import structlog
from aiohttp import web

from upwhisk.common.gathered import GatheredTransport
from upwhisk.common.ids import new_transaction_id
from upwhisk.controller.api.crowd import Crowd
from upwhisk.controller.api.errors import (
    MAX_FIELD,
    MAX_HEADERS,
    MAX_LINE,
    error_reply,
    plain_error,
    unparsable,
)
from upwhisk.controller.api.request import RequestTimeout

log = structlog.get_logger(__name__)
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
IDLE_S = 70.0
"""Idle keep-alive connections are closed after this time."""
LINGER_S = 3.0
"""How long the rest of a refused body is read and dropped, so that the client sees the answer."""


class ApiProtocol(web.RequestHandler):
    """One connection."""

    __slots__ = ("_connections", "_head_deadline", "_head_timeout_s")

    def __init__(
        self, connections: ApiConnections, head_timeout_s: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            connections,
            loop=loop,
            keepalive_timeout=IDLE_S,
            access_log=cast(Any, None),
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
        self._connections = connections
        self._head_timeout_s = head_timeout_s
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(GatheredTransport(cast(asyncio.Transport, transport)))

    def eof_received(self) -> None:
        """What was answered leaves before the connection is closed."""
        if isinstance(self.transport, GatheredTransport):
            self.transport.flush()
        super().eof_received()

    def data_received(self, data: bytes) -> None:
        crowd = self._connections.crowd
        crowd.release(self)
        begun = self._messages or self._current_request is not None
        if begun or not crowd.holds(self, data):
            self.take_in(data)

    def take_in(self, data: bytes) -> None:
        super().data_received(data)
        if self._messages:
            self._connections.heard(self)
            if self._head_deadline is not None:
                self._head_deadline.cancel()
                self._head_deadline = None
        elif self._head_deadline is None and self._current_request is None:
            # Bytes, but no whole head, while nothing is being handled: a request has begun. (`_waiter` would not do:
            # uvloop may deliver the first bytes before the task of the connection has run.)
            self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._connections.crowd.forget(self)
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None
        self._connections.heard(self)
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        loop = asyncio.get_running_loop()
        self._head_deadline = loop.call_later(self._head_timeout_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_deadline = None
        if self.transport is None:
            return
        reply = error_reply(RequestTimeout(), new_transaction_id())
        self.transport.write(reply.closing_bytes())
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answers for bytes that are no request; handlers' own errors never come here."""
        code, text = unparsable(exc) if status == 400 else (status, "There was an internal server error.")
        level = log.debug if status == 400 else log.error
        level(
            "unparsable request",
            action="api.unparsable",
            status=code,
            exc_info=exc if status != 400 else None,
        )
        reply = plain_error(code, text, new_transaction_id())
        reply.close = True
        return cast(web.StreamResponse, reply)


class ApiConnections(web.Server):
    """Makes an `ApiProtocol` for each connection. `crowd`: what they hold while calls are refused, for `together_s`. Belongs to a
    running loop."""

    def __init__(self, handler: Handler, head_timeout_s: float, together_s: float = 0.0) -> None:
        super().__init__(cast(Any, handler))
        self._head_timeout_s = head_timeout_s
        self.crowd = Crowd(together_s)
        self._silent: set[ApiProtocol] = set()
        self._all_heard = asyncio.Event()
        self._all_heard.set()

    def __call__(self) -> web.RequestHandler:
        made = ApiProtocol(self, self._head_timeout_s, asyncio.get_running_loop())
        self._silent.add(made)
        self._all_heard.clear()
        return made

    def heard(self, connection: ApiProtocol) -> None:
        """Its first request is there, or it is gone."""
        if self._silent:
            self._silent.discard(connection)
            if not self._silent:
                self._all_heard.set()

    async def wait_heard(self, timeout_s: float) -> None:
        """Until every connection has sent its first request: a caller whose connection was taken gets an answer."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._all_heard.wait()
        except TimeoutError:
            log.info("connections without a request", action="api.silent", connections=len(self._silent))
