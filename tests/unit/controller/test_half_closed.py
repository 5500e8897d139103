"""Who closes its sending end while a request is handled is answered all the same, on the loop that serves in earnest."""

from __future__ import annotations

import asyncio
import socket
import threading

import uvloop
from aiohttp import web

from upwhisk.controller.api.protocol import ApiConnections

_CALLS = 20
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def answers() -> list[bytes]:
    begun, ended = threading.Event(), threading.Event()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        begun.set()
        assert ended.wait(5), "it comes while the loop does not look"
        return web.Response(text="ok")

    def call(port: int) -> bytes:
        begun.clear()
        ended.clear()
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(REQUEST)
            assert begun.wait(5)
            connection.shutdown(socket.SHUT_WR)
            ended.set()
            return connection.recv(1000)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(ApiConnections(handle, 5.0), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        return [await asyncio.to_thread(call, port) for _ in range(_CALLS)]


def test_an_answer_leaves_before_a_half_closed_connection_is_closed() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert all(b" 200 " in answer for answer in runner.run(answers()))
