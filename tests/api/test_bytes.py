"""What is no proper HTTP, or comes too slowly, or is too much."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest
from api.client import Client, Target, basic
from api.platform import GUEST, in_process

Fresh = Callable[[str], str]
JSON_HEADERS = {"Content-Type": "application/json"}


async def test_json_without_a_media_type(client: Client, target: Target, fresh: Fresh) -> None:
    body = b"{}"
    head = f"PUT /api/v1/namespaces/_/triggers/{fresh('t')} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    head = f"{head}Connection: close\r\nAuthorization: {basic(target.auth)}\r\n\r\n"
    got = await raw(target, head.encode() + body)
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    upper = {"Content-Type": "Application/JSON; charset=UTF-8"}
    assert (await client.call("PUT", f"triggers/{fresh('t')}", data=b"{}", headers=upper)).status == 200


async def test_oversized_bodies_are_refused_before_they_are_read(target: Target) -> None:
    login = f"Authorization: {basic(target.auth)}\r\n"
    for path, size in (
        ("PUT /api/v1/namespaces/_/actions/x", 50 * 2**20 + 1),
        ("POST /api/v1/namespaces/_/triggers/x", 2**20 + 1),
    ):
        head = f"{path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {size}\r\n{login}\r\n"
        got = await raw(target, head.encode(), until=b"}")
        assert got.startswith(b"HTTP/1.1 413 "), got
        assert b"larger than" in got


async def test_oversized_chunked_bodies(client: Client, fresh: Fresh) -> None:
    name = fresh("t")
    await client.put(f"triggers/{name}", {})

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536

    try:
        async with asyncio.timeout(30):  # the sender never ends; the server has to
            answer = await client.post(f"triggers/{name}", data=endless(), headers=JSON_HEADERS)
    except TimeoutError:
        pytest.fail("the server reads for ever")
    except OSError:
        pass  # the connection was closed while we were still sending
    else:
        assert answer.status == 413
        assert answer.error == "The request content is larger than the server is willing or able to process."
    assert (await client.get("/ping")).status == 200


async def test_expect_continue(target: Target, client: Client, fresh: Fresh) -> None:
    head = f"PUT /api/v1/namespaces/_/triggers/{fresh('t')} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
    reader, writer = await asyncio.open_connection(*target.address)
    writer.write(f"{head}Content-Length: 2\r\nAuthorization: {basic(target.auth)}\r\n\r\n".encode())
    async with asyncio.timeout(5):
        assert (await reader.readline()) == b"HTTP/1.1 100 Continue\r\n"
        writer.write(b"{}")
        await reader.readline()
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


JUNK = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50,
    b"hello\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET nowhere HTTP/1.1\r\n\r\n",
    bytes(range(256)),
    b"SSH-2.0-OpenSSH_9.2p1\r\n",
]


@pytest.mark.parametrize("junk", JUNK)
async def test_junk(target: Target, client: Client, junk: bytes) -> None:
    head, _, body = (await raw(target, junk)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 "), head
    assert b"X-Request-ID: " in head
    assert b"Connection: close" in head
    assert set(msgspec.json.decode(body)) == {"error", "code"}
    assert (await client.get("/ping")).status == 200


async def test_long_targets_and_headers(target: Target) -> None:
    long_target = await raw(target, b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert long_target.startswith(b"HTTP/1.1 414 ")
    long_header = await raw(target, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20000 + b"\r\n\r\n")
    assert long_header.startswith(b"HTTP/1.1 431 ")
    many = await raw(target, b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-H: 1\r\n" * 500 + b"\r\n")
    assert many.startswith(b"HTTP/1.1 431 ")
    for got in (long_target, long_header, many):
        assert b"X-Request-ID: " in got
        assert b'"error": "' in got


async def test_broken_chunks(target: Target) -> None:
    head = (
        f"POST /api/v1/namespaces/_/triggers/x HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(target.auth)}\r\n"
    )
    got = await raw(target, f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{{}}\r\n".encode())
    assert got.startswith(b"HTTP/1.1 400 ")


async def test_half_sent_requests_end_alone(client: Client) -> None:
    login = f"Authorization: {basic(GUEST)}\r\n"
    halves = [
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        f"POST /api/v1/namespaces/_/actions/x HTTP/1.1\r\nHost: x\r\n{login}Content-Length: 10\r\n\r\n{{".encode(),
        f"PUT /api/v1/namespaces/_/triggers/x HTTP/1.1\r\nHost: x\r\n{login}Transfer-Encoding: chunked\r\n\r\n1\r\n".encode(),
    ]
    async with in_process(header_timeout_s=0.3) as platform:
        target = Target(
            f"http://127.0.0.1:{platform.server.port}", GUEST, "", "guest", "", platform
        )
        local = Client(client._session, target, target.auth)
        await local.put("actions/x", {"exec": {"kind": "python:3", "code": "x"}})
        started = time.monotonic()
        waiting = [asyncio.create_task(raw(target, half, until=b"}")) for half in halves * 5]
        while not all(task.done() for task in waiting):
            asked = time.monotonic()
            assert (await local.get("/ping")).status == 200
            assert time.monotonic() - asked < 0.25
            await asyncio.wait(waiting, timeout=0.02)
        assert time.monotonic() - started < 3
        for task in waiting:
            assert task.result().startswith(b"HTTP/1.1 408 "), task.result()
            assert b"Connection: close\r\n" in task.result()


async def test_keep_alive_and_pipelining(target: Target) -> None:
    request = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /ping HTTP/1.0\r\n\r\n"
    got = await raw(target, request * 3 + last)
    assert got.count(b"pong") == 4
    assert got.count(b"Connection: close") == 1
    kept = await raw(target, b"GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", until=b"pong")
    assert b"Connection: keep-alive" in kept


async def test_absolute_form(target: Target) -> None:
    got = await raw(
        target, b"GET http://somewhere:80/ping?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert got.endswith(b"pong")


async def raw(target: Target, data: bytes, *, until: bytes | None = None) -> bytes:
    """Send bytes and return what comes back until the end of the connection (or `until`)."""
    reader, writer = await asyncio.open_connection(*target.address)
    got = b""
    try:
        async with asyncio.timeout(10):
            writer.write(data)
            while part := await reader.read(65536):
                got += part
                if until is not None and got.endswith(until):
                    break
    except ConnectionError:
        pass
    finally:
        writer.close()
    return got
