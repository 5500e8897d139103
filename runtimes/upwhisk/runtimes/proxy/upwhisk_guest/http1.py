"""As much of HTTP/1.1 as a guest's proxy needs: POST with a Content-Length, answers of known length."""

from __future__ import annotations

import re

MAX_HEAD = 64 * 1024
MAX_BODY = 256 * 1024 * 1024
"""Bytes. The caller is the platform, which has bounds of its own; this one keeps junk from filling the memory."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,15})[ \t]*\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection:[^\r]*\bclose\b", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_HEAD = {
    status: f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: ".encode()
    for status, reason in (
        (200, "OK"),
        (400, "Bad Request"),
        (403, "Forbidden"),
        (404, "Not Found"),
        (405, "Method Not Allowed"),
        (411, "Length Required"),
        (413, "Payload Too Large"),
        (431, "Request Header Fields Too Large"),
        (500, "Internal Server Error"),
        (502, "Bad Gateway"),
    )
}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BadRequest(Exception):
    """The bytes are no request that we take; the connection is to be closed after the answer."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


class Request:
    """One request. `keep`: the connection may carry another one."""

    __slots__ = ("body", "keep", "method", "path")

    def __init__(self, method: bytes, path: bytes, body: bytes, keep: bool) -> None:
        self.method = method
        self.path = path
        self.body = body
        self.keep = keep


class RequestReader:
    """Bytes in, requests out. `expects` turns true when the client waits to be told to send the body."""

    __slots__ = ("_buffer", "_head", "_length", "expects")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: bytes | None = None
        self._length = 0
        self.expects = False

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def take(self) -> Request | None:
        """The next whole request, None if more bytes are needed. Raises `BadRequest`."""
        if self._head is None and not self._take_head():
            return None
        buffer, length = self._buffer, self._length
        if len(buffer) < length:
            return None
        head = self._head or b""
        body = bytes(buffer[:length])
        del buffer[:length]
        self._head = None
        self.expects = False
        return _request(head, body)

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD:
                raise BadRequest(431, "The head of the request is too long.")
            return False
        head = bytes(self._buffer[: end + 2])
        del self._buffer[: end + 4]
        found = _LENGTH.search(head)
        self._length = int(found.group(1)) if found is not None else 0
        if found is None and _CHUNKED.search(head):
            raise BadRequest(411, "A Content-Length is required.")
        if self._length > MAX_BODY:
            raise BadRequest(413, "The body of the request is too large.")
        self._head = head
        self.expects = self._length > len(self._buffer) and _EXPECT.search(head) is not None
        return True


def _request(head: bytes, body: bytes) -> Request:
    parts = head[: head.index(b"\r\n")].split(b" ")
    if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
        raise BadRequest(400, "This is no HTTP/1.1 request.")
    keep = parts[2] != b"HTTP/1.0" and _CLOSE.search(head) is None
    return Request(parts[0], parts[1], body, keep)


def answer(status: int, body: bytes) -> bytes:
    """The bytes of an answer with a JSON body."""
    return b"%b%d\r\n\r\n%b" % (_HEAD[status], len(body), body)
