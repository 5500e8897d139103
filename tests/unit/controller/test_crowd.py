"""Where calls are refused, requests are taken in together: all of them, in order, whatever connections do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop
from aiohttp import web
from fakes.until import until

from upwhisk.backends.store.memory import MemoryStore
from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import Unavailable
from upwhisk.controller.api import crowd as crowds
from upwhisk.controller.api.presence import Presence
from upwhisk.controller.api.protocol import ApiConnections
from upwhisk.controller.api.reply import Reply, text_reply
from upwhisk.controller.api.request import Request
from upwhisk.controller.api.routing import Access, Route, Router
from upwhisk.controller.api.server import ApiServer, ListenerSettings
from upwhisk.controller.auth import Authenticator

REQUEST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
LONG_S = 3600.0


@dataclass
class Server:
    connections: ApiConnections
    port: int
    begun: list[str]
    callers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def say(self, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.callers.append(writer)
        writer.write(data)
        return reader, writer

    def held(self) -> list[bytes]:
        return list(self.connections.crowd._held.values())

    async def holds(self, count: int) -> None:
        await until(lambda: len(self.connections.crowd) == count)


@asynccontextmanager
async def serving(together_s: float = LONG_S) -> AsyncIterator[Server]:
    begun: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        begun.append((await request.read()).decode())
        return web.Response(text="ok")

    connections = ApiConnections(handle, 30.0, together_s)
    listener = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0)
    server = Server(connections, listener.sockets[0].getsockname()[1], begun)
    try:
        yield server
    finally:
        listener.close()
        for caller in server.callers:
            caller.close()
        await connections.shutdown(1)


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test)


async def is_answered(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(10):
        assert b" 200 " in await reader.readline()


@pytest.fixture(autouse=True)
def long_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what a test does lets requests in."""
    monkeypatch.setattr(crowds, "_LASTS_S", LONG_S)


def test_requests_are_taken_in_together_and_all_are_answered() -> None:
    async def test() -> None:
        async with serving() as server:
            server.connections.crowd.refused()
            callers = [await server.say(REQUEST) for _ in range(5)]
            await server.holds(5)
            assert not server.begun
            server.connections.crowd.close()
            for reader, _ in callers:
                await is_answered(reader)

    run(test())


async def one_call(*, refused: bool, together_s: float = LONG_S) -> list[str]:
    """What was handled when a call was answered, and nobody let it in."""
    async with serving(together_s) as server:
        if refused:
            server.connections.crowd.refused()
        reader, _ = await server.say(REQUEST)
        await is_answered(reader)
        return server.begun


def answered(call: Coroutine[Any, Any, list[str]]) -> bool:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(call) == ["body"]


def test_they_are_let_in_by_themselves() -> None:
    assert answered(one_call(refused=True, together_s=0.005))


def test_without_a_refusal_nothing_waits() -> None:
    assert answered(one_call(refused=False))


def test_it_is_crowded_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "_LASTS_S", -1.0)
    assert answered(one_call(refused=True))


def test_a_listener_holds_after_a_refusal_and_lets_in_when_it_drains() -> None:
    async def full(request: Request) -> Reply:
        raise Unavailable()

    async def ping(request: Request) -> Reply:
        return text_reply("pong")

    async def test() -> None:
        routes = (Route("GET", "/full", full, Access.OPEN), Route("GET", "/ping", ping, Access.OPEN))
        settings = ListenerSettings(host="127.0.0.1", port=0, header_timeout_s=5.0, drain_s=1.0, together_s=LONG_S)
        authenticator = Authenticator(MemoryStore().subjects, SystemClock())
        async with ApiServer(settings, Router(routes), authenticator, Counter(), Presence()) as server:
            crowd = server._connections.crowd if server._connections is not None else None
            assert crowd is not None
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /full HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 503 " in await reader.readuntil(b"\r\n\r\n")
            other, second = await asyncio.open_connection("127.0.0.1", server.port)
            second.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
            await until(lambda: len(crowd) == 1)
            server.drain()
            await is_answered(other)
            for one in (writer, second):
                one.close()

    run(test())


def test_a_request_in_pieces_stays_in_order() -> None:
    async def test() -> None:
        async with serving() as server:
            server.connections.crowd.refused()
            reader, writer = await server.say(REQUEST[:30])
            await server.holds(1)
            writer.write(REQUEST[30:-2])
            await until(lambda: server.held() == [REQUEST[30:-2]])
            writer.write(REQUEST[-2:])
            await is_answered(reader)
            assert server.begun == ["body"]

    run(test())


def test_one_that_cannot_go_on_does_not_take_the_others_along() -> None:
    class Broken:
        closed = False

        def take_in(self, data: bytes) -> None:
            raise ValueError

        def force_close(self) -> None:
            self.closed = True

    async def test() -> None:
        async with serving() as server:
            crowd, broken = server.connections.crowd, Broken()
            crowd.refused()
            assert crowd.holds(broken, REQUEST)
            reader, _ = await server.say(REQUEST)
            await server.holds(2)
            crowd.close()
            assert broken.closed
            await is_answered(reader)

    run(test())


def test_who_has_gone_is_forgotten() -> None:
    async def test() -> None:
        async with serving() as server:
            server.connections.crowd.refused()
            _, writer = await server.say(REQUEST)
            await server.holds(1)
            writer.transport.abort()
            await server.holds(0)
            assert not server.begun

    run(test())
