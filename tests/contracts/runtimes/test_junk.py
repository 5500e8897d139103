"""Junk, half-sent and odd requests on a guest's socket: answered or dropped, and nobody else is held up."""

from __future__ import annotations

import json

import pytest
from contracts.runtimes.conftest import StartGuest
from contracts.runtimes.guest import Client, Guest

from upwhisk.runtimes.installation import RuntimeInstallation

CODE = {
    "python": "def main(args):\n    return args\n",
    "nodejs": "function main(args) { return args; }",
    "native": '#!/bin/sh\nread -r input\necho "$input"\n',
}


@pytest.fixture
def guest(any_kind: RuntimeInstallation, start: StartGuest) -> Guest:
    guest = start(any_kind)
    guest.must_init(CODE[any_kind.family])
    return guest


def check(guest: Guest) -> None:
    assert guest.run({"still": "there"}).json == {"still": "there"}


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"junk\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"POST /run SPDY/3\r\n\r\n", 400),
        (b"POST /run HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411),
        (b"POST /run HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n", 413),
        (b"POST /run HTTP/1.1\r\nX: " + b"x" * 70_000, 431),
    ],
)
def test_what_is_no_request_is_refused_and_closed(guest: Guest, request_bytes: bytes, status: int) -> None:
    client = guest.connect()
    client.send(request_bytes)
    answer = client.receive()
    assert answer is not None
    assert answer.status == status
    assert client.at_end()
    check(guest)


@pytest.mark.parametrize("part", [b"", b"POST /r", b"POST /run HTTP/1.1\r\nContent-Length: 10\r\n\r\n{}"])
def test_a_half_sent_request_holds_up_nobody(guest: Guest, part: bytes) -> None:
    client = guest.connect()
    client.send(part)
    check(guest)
    client.close()
    check(guest)


def test_a_request_in_many_pieces(guest: Guest) -> None:
    client = guest.connect()
    body = json.dumps({"value": {"k": "❄" * 50}}).encode()
    whole = b"POST /run HTTP/1.1\r\ncontent-LENGTH:  %d \r\nHost: x\r\n\r\n%b" % (len(body), body)
    for at in range(0, len(whole), 7):
        client.send(whole[at : at + 7])
    answer = client.receive()
    assert answer is not None
    assert answer.json == {"k": "❄" * 50}


def test_two_requests_in_one_piece(guest: Guest) -> None:
    client = guest.connect()
    one = b'POST /run HTTP/1.1\r\nContent-Length: 17\r\n\r\n{"value":{"n":1}}'
    client.send(one * 2)
    for _ in range(2):
        answer = client.receive()
        assert answer is not None
        assert answer.json == {"n": 1}


@pytest.mark.parametrize("head", ["POST /run HTTP/1.0\r\n", "POST /run HTTP/1.1\r\nConnection: close\r\n"])
def test_the_connection_is_closed_on_request(guest: Guest, head: str) -> None:
    client = guest.connect()
    client.send(f"{head}Content-Length: 2\r\n\r\n{{}}".encode())
    answer = client.receive()
    assert answer is not None
    assert answer.status == 200
    assert client.at_end()
    check(guest)


def test_a_client_that_waits_to_be_asked_for_the_body(guest: Guest) -> None:
    client = guest.connect()
    client.send(b"POST /run HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 17\r\n\r\n")
    expect_continue(client)
    client.send(b'{"value":{"n":1}}')
    answer = client.receive()
    assert answer is not None
    assert answer.json == {"n": 1}


def expect_continue(client: Client) -> None:
    assert client.receive_raw() == b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_client_that_leaves_before_its_answer(guest: Guest) -> None:
    for _ in range(3):
        client = guest.connect()
        client.send_post("/run", b'{"value": {"a": 1}}')
        client.close()
    check(guest)
