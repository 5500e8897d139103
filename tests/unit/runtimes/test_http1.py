"""Requests in whatever pieces they come."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.runtimes.proxy.upwhisk_guest.http1 import BadRequest, Request, RequestReader, answer


def taken(reader: RequestReader) -> Request:
    request = reader.take()
    assert request is not None
    return request


@given(
    bodies=st.lists(st.binary(max_size=50), min_size=1, max_size=4),
    cuts=st.lists(st.integers(1, 40), max_size=30),
)
def test_pieces_do_not_matter(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(
        b"POST /run HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(b), b) for b in bodies
    )
    reader, found = RequestReader(), []
    for cut in [*cuts, len(stream)]:
        piece, stream = stream[:cut], stream[cut:]
        reader.feed(piece)
        while (request := reader.take()) is not None:
            found.append((request.method, request.path, request.body, request.keep))
    assert found == [(b"POST", b"/run", body, True) for body in bodies]


@given(junk=st.binary(max_size=200))
def test_junk_is_refused_or_waits(junk: bytes) -> None:
    reader = RequestReader()
    reader.feed(junk)
    with contextlib.suppress(BadRequest):
        request = reader.take()
        assert request is None or request.path


def test_without_a_length_there_is_no_body() -> None:
    reader = RequestReader()
    reader.feed(b"GET / HTTP/1.1\r\n\r\nrest")
    assert taken(reader).body == b""


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        (b"POST /run HTTP/1.1\r\n\r\n", True),
        (b"POST /run HTTP/1.0\r\n\r\n", False),
        (b"POST /run HTTP/1.1\r\nconnection: Keep-Alive, CLOSE\r\n\r\n", False),
        (b"POST /run HTTP/1.1\r\nX-Connection: close\r\n\r\n", True),
    ],
)
def test_keeping_the_connection(head: bytes, keep: bool) -> None:
    reader = RequestReader()
    reader.feed(head)
    assert taken(reader).keep is keep


def test_a_client_that_wants_to_be_asked() -> None:
    reader = RequestReader()
    reader.feed(b"POST /run HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    assert reader.take() is None
    assert reader.expects
    reader.feed(b"{}")
    assert taken(reader).body == b"{}"
    assert not reader.expects


def test_an_answer() -> None:
    assert answer(200, b"{}\n") == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{}\n"
    )
