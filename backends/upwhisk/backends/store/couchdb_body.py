"""Bodies of requests, made while they are sent: neither the loop nor the memory holds a large one at once."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Iterable

import msgspec

CHUNK = 192 * 1024
"""Divisible by 3, so that the pieces' base64 texts can be joined."""


class Base64(msgspec.Struct, frozen=True):
    """Bytes that travel as base64."""

    data: bytes


class Body:
    """JSON out of parts, some of which are encoded on the way."""

    def __init__(self, parts: Iterable[bytes | Base64]) -> None:
        self._parts = tuple(parts)
        self.length = sum(
            (len(part.data) + 2) // 3 * 4 if isinstance(part, Base64) else len(part) for part in self._parts
        )

    @property
    def data(self) -> bytes | AsyncIterator[bytes]:
        """The whole, anew for each attempt; a small one in one piece."""
        if self.length <= CHUNK:
            return b"".join(piece for part in self._parts for piece in _pieces(part))
        return self._stream()

    async def _stream(self) -> AsyncIterator[bytes]:
        """Small parts are joined: few writes."""
        small: list[bytes] = []
        size = 0
        for part in self._parts:
            for piece in _pieces(part):
                small.append(piece)
                size += len(piece)
                if size >= CHUNK:
                    yield b"".join(small)
                    small, size = [], 0
        if small:
            yield b"".join(small)


def body_of(value: object) -> Body:
    return Body([msgspec.json.encode(value)])


def with_attachment(document: bytes, name: str, data: bytes) -> list[bytes | Base64]:
    """The JSON of a document with an attachment inside, so that both are written in one request."""
    head = b'{"content_type":"application/octet-stream","data":"'
    opening = document[:-1] + b',"_attachments":{' + msgspec.json.encode(name) + b":" + head
    return [opening, Base64(data), b'"}}}']


def _pieces(part: bytes | Base64) -> Iterable[bytes]:
    if isinstance(part, bytes):
        for begin in range(0, len(part), CHUNK):
            yield part[begin : begin + CHUNK]
        return
    for begin in range(0, len(part.data), CHUNK):
        yield base64.b64encode(part.data[begin : begin + CHUNK])
