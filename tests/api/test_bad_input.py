"""What is no proper request: bodies, headers, and bytes that are no HTTP at all."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from api.client import Client, Target, basic
from api.platform import in_process

Fresh = Callable[[str], str]
WRITES = [
    ("PUT", "actions/x"),
    ("POST", "actions/x"),
    ("PUT", "packages/x"),
    ("PUT", "triggers/x"),
    ("POST", "triggers/x"),
]
WRITES += [("PUT", "rules/x"), ("POST", "rules/x")]
JSON_HEADERS = {"Content-Type": "application/json"}


@pytest.fixture
async def known(client: Client) -> None:
    """The entities that the table above speaks of."""
    await client.put("actions/x", {"exec": {"kind": "python:3", "code": "def main(a): return a"}})


async def write(client: Client, method: str, path: str, body: bytes, **headers: str) -> Any:
    if path == "triggers/x" and method == "POST":
        await client.put("triggers/y?overwrite=true", {})
        path = "triggers/y"
    if path == "rules/x" and method == "POST":
        path = "rules/z"
    return await client.call(method, path, data=body, headers=JSON_HEADERS | headers)


MALFORMED = [
    b"{",
    b"nonsense",
    b"{'a': 1}",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 1e400}',
    b'{"a": 01}',
    b'{"a": 1,}',
    b'{"a": "\x01"}',
    b'{"a": 1} x',
    b"\xef\xbb\xbf{}",
    b'{"parameters": "\xff"}',
    b'{"parameters": "\\ud800"}',
    b" ",
    b"\x1f\x8b\x08",
]


@pytest.mark.parametrize("body", MALFORMED)
@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_malformed_json(client: Client, known: None, method: str, path: str, body: bytes) -> None:
    answer = await write(client, method, path, body)
    # What a body does not name is skipped unread, so nonsense inside may go unnoticed there.
    assert answer.status in (400, 200, 409), answer.body
    if body[:1] != b"{" or method == "POST" or (b"parameters" in body and path != "rules/x"):
        assert answer.status == 400
        assert answer.error.startswith("The request content was malformed:\n")


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true"])
async def test_bodies_have_to_be_objects(
    client: Client, known: None, method: str, path: str, body: bytes
) -> None:
    answer = await write(client, method, path, body)
    assert (answer.status, answer.error) == (400, "The request content was malformed:\nJSON object expected")


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("depth", [501, 600, 5000, 400_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_nesting(
    client: Client, known: None, method: str, path: str, depth: int, opening: bytes
) -> None:
    closing = b"]" if opening == b"[" else b"}"
    depth = min(depth, 150_000) if len(opening) > 1 else depth
    body = b'{"parameters": ' + opening * (depth - 1) + b"1" + closing * (depth - 1) + b"}"
    answer = await write(client, method, path, body)
    text = "The request content was malformed:\nJSON is nested deeper than 500 levels"
    assert (answer.status, answer.error) == (400, text)


async def test_deep_is_not_too_deep(client: Client, fresh: Fresh) -> None:
    value = json.loads("[" * 496 + "]" * 496)
    answer = await client.put(f"triggers/{fresh('t')}", {"parameters": [{"key": "a", "value": value}]})
    assert answer.status == 200
    assert answer.json["parameters"][0]["value"] == value
    brackets = "[{" * 5000 + '\\"'
    text = await client.put(f"triggers/{fresh('t')}", {"parameters": [{"key": "a", "value": brackets}]})
    assert text.json["parameters"][0]["value"] == brackets


@pytest.mark.parametrize("number", ["18446744073709551616", "-9223372036854775809", "1" * 400])
async def test_integers_have_to_fit(client: Client, known: None, number: str) -> None:
    for method, path, body in (
        ("POST", "actions/x?blocking=true", f'{{"deep": [{{"n": {number}}}]}}'),
        ("PUT", "triggers/n", f'{{"parameters": [{{"key": "n", "value": {number}}}]}}'),
    ):
        answer = await client.call(method, path, data=body.encode(), headers=JSON_HEADERS)
        assert answer.status == 400
        assert answer.error.startswith("The request content was malformed:\nNumber out of range")


async def test_numbers_that_fit(client: Client, fresh: Fresh) -> None:
    numbers = [2**64 - 1, -(2**63), 1e308, -0.5, 0.1]
    answer = await client.put(f"triggers/{fresh('t')}", {"parameters": [{"key": "n", "value": numbers}]})
    assert answer.json["parameters"][0]["value"] == numbers


async def test_equal_keys_keep_the_last(client: Client, fresh: Fresh) -> None:
    body = b'{"publish": true, "publish": false, "parameters": [{"key": "a", "value": {"b": 1, "b": 2}}]}'
    answer = await client.call("PUT", f"packages/{fresh('p')}", data=body, headers=JSON_HEADERS)
    assert answer.json["publish"] is False
    assert answer.json["parameters"] == [{"key": "a", "value": {"b": 2}}]


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_media_types(client: Client, known: None, method: str, path: str) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x"):
        answer = await client.call(method, path, data=b"{}", headers={"Content-Type": content_type})
        text = f"The request's Content-Type [{content_type}] is not supported. Expected:\napplication/json"
        assert (answer.status, answer.error) == (415, text)
    zipped = await write(client, method, path, gzip.compress(b"{}"), **{"Content-Encoding": "gzip"})
    assert zipped.status == 415


async def test_json_without_a_media_type(client: Client, target: Target, fresh: Fresh) -> None:
    body = b"{}"
    head = f"PUT /api/v1/namespaces/_/triggers/{fresh('t')} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    head = f"{head}Connection: close\r\nAuthorization: {basic(target.auth)}\r\n\r\n"
    got = await raw(target, head.encode() + body)
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    upper = {"Content-Type": "Application/JSON; charset=UTF-8"}
    assert (await client.call("PUT", f"triggers/{fresh('t')}", data=b"{}", headers=upper)).status == 200


@pytest.mark.parametrize("accept", ["text/html", "text/*, image/png;q=0.5", "application/json;q=0"])
async def test_accept(client: Client, accept: str) -> None:
    for caller, path in (
        (client, "actions"),
        (client.as_(None), "actions"),
        (client.as_(None), "/api/v1/nowhere"),
    ):
        answer = await caller.get(path, headers={"Accept": accept})
        assert answer.status == 406
        assert answer.error == "Resource representation is only available with these types:\napplication/json"


@pytest.mark.parametrize(
    "accept", ["application/json", "text/html, */*;q=0.1", "application/*", "APPLICATION/JSON; x=1", ""]
)
async def test_accept_json(client: Client, accept: str) -> None:
    assert (await client.get("actions", headers={"Accept": accept})).status == 200


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
    name, sent = fresh("t"), 0
    await client.put(f"triggers/{name}", {})

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65536

    try:
        answer = await client.post(f"triggers/{name}", data=endless(), headers=JSON_HEADERS)
    except OSError:
        pass  # the connection was closed while we were still sending
    else:
        assert answer.status == 413
        assert answer.error == "The request content is larger than the server is willing or able to process."
    assert sent < 2000
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
    login = f"Authorization: {basic(client.target.auth)}\r\n"
    halves = [
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        f"POST /api/v1/namespaces/_/actions/x HTTP/1.1\r\nHost: x\r\n{login}Content-Length: 10\r\n\r\n{{".encode(),
        f"PUT /api/v1/namespaces/_/triggers/x HTTP/1.1\r\nHost: x\r\n{login}Transfer-Encoding: chunked\r\n\r\n1\r\n".encode(),
    ]
    async with in_process(header_timeout_s=0.3) as platform:
        target = Target(
            f"http://127.0.0.1:{platform.server.port}", client.target.auth, "", "guest", "", platform
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
