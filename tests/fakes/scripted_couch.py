"""An HTTP server that answers as it is told: with what CouchDB says, or by breaking off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec
from aiohttp import web


class Asked(NamedTuple):
    """`path` as it came, escapes and query included."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Say(NamedTuple):
    status: int
    body: Any = None


class Break(NamedTuple):
    """The request was read; the connection ends without an answer."""


class Hang(NamedTuple):
    """No answer, ever."""


Reaction = Say | Break | Hang
React = Callable[[Asked], Reaction]


class ScriptedCouch:
    """`react` decides; without one the answers in `script` are given in turn."""

    def __init__(self, *script: Reaction, react: React | None = None) -> None:
        self.script = list(script)
        self.react = react
        self.asked: list[Asked] = []
        self.url = ""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = Asked(request.method, request.raw_path, dict(request.headers), await request.read())
        self.asked.append(asked)
        reaction = self.react(asked) if self.react is not None else self.script.pop(0)
        match reaction:
            case Break():
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case Hang():
                await asyncio.Event().wait()
        assert isinstance(reaction, Say)
        value = {} if reaction.body is None else reaction.body
        body = value if isinstance(value, bytes) else msgspec.json.encode(value)
        return web.Response(status=reaction.status, body=body, content_type="application/json")


@asynccontextmanager
async def scripted(couch: ScriptedCouch) -> AsyncIterator[ScriptedCouch]:
    runner = web.ServerRunner(web.Server(couch.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        couch.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield couch
    finally:
        await runner.cleanup()
