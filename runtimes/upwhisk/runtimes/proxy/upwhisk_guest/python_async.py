"""Serving actions that are `async def`: many activations at once on one event loop."""

from __future__ import annotations

import asyncio
import contextvars
import json
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

from . import inherit
from .blocking import Connection
from .http1 import CONTINUE, BadRequest, Request, RequestReader, answer
from .outcome import EXITED, NO_ACTION, encode_exception, encode_result
from .python_app import PythonApp
from .python_code import Main, user_traceback
from .streams import Attribution, Streams, attribution
from .upwhisk_action import enter

_BACKLOG = 512
"""Connections may come as fast as activations: up to the largest limit on concurrency at once."""


class AsyncServer:
    """Takes over the listener and the connections of a blocking server whose app turned out to be concurrent."""

    def __init__(self, app: PythonApp, streams: Streams, listener: socket.socket) -> None:
        self._app = app
        self._streams = streams
        self._listener = listener
        self._running: dict[_Client, Attribution] = {}

    def serve(self, connections: Sequence[Connection]) -> None:
        """Runs until the process is killed."""
        asyncio.run(self._serve(connections))

    def exiting(self) -> None:
        """The process is about to end, and with it every activation that runs."""
        for client, run in list(self._running.items()):
            self._streams.end_attributed_run(run)
            client.send(400, EXITED)

    async def _serve(self, connections: Sequence[Connection]) -> None:
        loop = asyncio.get_running_loop()
        inherit.install()
        for connection in connections:
            reader = connection.reader
            await loop.connect_accepted_socket(
                lambda reader=reader: _Client(self.start, reader),  # type: ignore[misc]
                connection.socket,
            )
        server = await loop.create_server(
            lambda: _Client(self.start, RequestReader()), sock=self._listener, backlog=_BACKLOG
        )
        await server.serve_forever()

    def start(self, client: _Client, request: Request) -> None:
        """Begin to answer a request; the client is told when it is done."""
        if request.path != b"/run":
            client.done(*self._app.handle_other(request))
            return
        context = contextvars.copy_context()
        task = context.run(asyncio.ensure_future, self._run(client, request.body))
        client.task = task

    async def _run(self, client: _Client, body: bytes) -> None:
        main = self._app.main
        if main is None:
            client.done(500, NO_ACTION)
            return
        run = self._running[client] = Attribution(None)
        try:
            fields = json.loads(body)
            run = self._running[client] = Attribution(fields.get("activation_id"))
            attribution.set(run)
            self._app.variables.enter(fields)
            enter(fields, alone=False)
            status, text = await self._call(main, fields.get("value", {}))
        except BaseException as error:  # the code or the request ended the process, as far as it can
            self._app.check_process()
            status, text = self._app.spent(error)
        self._running.pop(client, None)
        self._streams.end_attributed_run(run)
        client.done(status, text)

    async def _call(self, main: Main, value: Any) -> tuple[int, bytes]:
        try:
            result = await main(value)
        except (Exception, asyncio.CancelledError) as error:
            self._app.check_process()
            sys.stderr.write(user_traceback(error))
            return encode_exception(error)
        self._app.check_process()
        return encode_result(result)


class _Client(asyncio.Protocol):
    """One connection: its requests are answered one after the other."""

    def __init__(self, start: Callable[[_Client, Request], None], reader: RequestReader) -> None:
        self._start = start
        self._reader = reader
        self._transport: asyncio.Transport | None = None
        self._keep: bool | None = None
        self.task: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self._next()

    def done(self, status: int, body: bytes) -> None:
        """The answer to the request that was started last."""
        keep, self._keep, self.task = self._keep, None, None
        self.send(status, body)
        if self._transport is not None:
            if not keep:
                self._transport.close()
            else:
                self._transport.resume_reading()
                self._next()

    def send(self, status: int, body: bytes) -> None:
        if self._transport is not None:
            self._transport.write(answer(status, body))

    def _next(self) -> None:
        transport = self._transport
        if transport is None or self._keep is not None:
            return
        try:
            request = self._reader.take()
        except BadRequest as error:
            transport.write(answer(error.status, b'{"error": "%b"}\n' % str(error).encode()))
            transport.close()
            return
        if request is not None:
            self._keep = request.keep
            self._start(self, request)
        elif self._reader.expects:
            self._reader.expects = False
            transport.write(CONTINUE)
