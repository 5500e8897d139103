"""The HTTP client against peers that answer in every possible way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sandbox.guests import short_folder

from upwhisk.common.spi.containers import GuestAnswer
from upwhisk.invoker.containers.proxy_client import PeerClosed, ProxyClient

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def _peer(handler: Handler) -> AsyncIterator[ProxyClient]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    with short_folder() as folder:
        path = str(folder / "peer")
        server = await asyncio.start_unix_server(handle, path)
        loop = asyncio.get_running_loop()
        client = ProxyClient(lambda protocol: loop.create_unix_connection(protocol, path))
        try:
            yield client
        finally:
            client.close()
            server.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    return head + await reader.readexactly(length)


def _says(*parts: bytes, forever: bool = True) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await _request(reader)
            for part in parts:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)
            if not forever:
                return

    return handler


async def _post(
    client: ProxyClient, *, timeout_s: float = 5, max_answer: int = 100, single_use: bool = False
) -> GuestAnswer:
    return await client.post("/run", b"{}", timeout_s=timeout_s, max_answer=max_answer, single_use=single_use)


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",),
        (b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\n", b"{", b"}"),
        tuple(bytes([b]) for b in b"HTTP/1.1 200 OK\r\nX: y\r\nCONTENT-LENGTH: 2\r\n\r\n{}"),
    ],
)
async def test_an_answer_in_any_pieces(parts: tuple[bytes, ...]) -> None:
    async with _peer(_says(*parts)) as client:
        for _ in range(3):
            assert await _post(client) == GuestAnswer(200, b"{}", 2)


async def test_other_statuses_and_empty_bodies() -> None:
    async with _peer(_says(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")) as client:
        assert await _post(client) == GuestAnswer(502, b"", 0)


async def test_a_body_without_length_ends_with_the_connection() -> None:
    async with _peer(_says(b"HTTP/1.1 200 OK\r\n\r\nabc", forever=False)) as client:
        for _ in range(2):
            assert await _post(client) == GuestAnswer(200, b"abc", 3)


async def test_a_long_body_is_cut() -> None:
    async with _peer(_says(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x" * 1000)) as client:
        for _ in range(2):
            assert await _post(client, max_answer=10) == GuestAnswer(200, b"x" * 10, 1000)


async def test_connections_are_kept_and_calls_at_once_have_their_own() -> None:
    seen: list[object] = []
    release = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer)
        while True:
            await _request(reader)
            await release.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with _peer(handler) as client:
        tasks = [asyncio.create_task(_post(client)) for _ in range(3)]
        async with asyncio.timeout(5):
            while len(seen) < 3:
                await asyncio.sleep(0)
        release.set()
        await asyncio.gather(*tasks)
        for _ in range(5):
            await _post(client)
        assert len(seen) == 3
        await _post(client, single_use=True)
        await asyncio.gather(*(_post(client) for _ in range(3)))
        assert len(seen) == 4


@pytest.mark.parametrize(
    "junk",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"x" * 100_000,
    ],
)
async def test_half_an_answer_or_junk_is_a_closed_peer(junk: bytes) -> None:
    async with _peer(_says(junk, forever=False)) as client:
        with pytest.raises(PeerClosed):
            await _post(client)


async def test_an_answer_nobody_asked_for_is_not_taken_for_the_next() -> None:
    spoken = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await asyncio.sleep(0.01)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong")
        await writer.drain()
        spoken.set()
        await reader.read()

    async with _peer(handler) as client:
        assert (await _post(client)).body == b"{}"
        await asyncio.wait_for(spoken.wait(), 5)
        assert (await _post(client)).body == b"{}"


async def test_time_runs_out_and_the_connection_is_not_used_again() -> None:
    opened = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened
        opened += 1
        await _request(reader)
        if opened > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.read()

    async with _peer(handler) as client:
        with pytest.raises(TimeoutError):
            await _post(client, timeout_s=0.05)
        assert (await _post(client)).status == 200
        assert opened == 2


async def test_nobody_listens(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    client = ProxyClient(lambda protocol: loop.create_unix_connection(protocol, "/nowhere/at/all"))
    with pytest.raises(PeerClosed):
        await _post(client)


async def test_closing_abandons_calls() -> None:
    async with _peer(_says(b"")) as client:
        task = asyncio.create_task(_post(client))
        await asyncio.sleep(0.01)
        client.close()
        with pytest.raises(PeerClosed):
            await task
        with pytest.raises(PeerClosed):
            await _post(client)
