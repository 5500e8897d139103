"""The one request of Kafka's protocol that tells whether a broker serves; no client, no event loop."""

from __future__ import annotations

import socket
import struct

_METADATA = 3
_VERSION = 1
_ID = 7
_WITHIN_S = 2.0
_NO_TOPICS = 0


def broker_serves(port: int) -> bool:
    """Whether the broker at 127.0.0.1 answers and lists itself: one that may not lead partitions yet is not listed."""
    try:
        with socket.create_connection(("127.0.0.1", port), _WITHIN_S) as connection:
            connection.settimeout(_WITHIN_S)
            connection.sendall(_framed(struct.pack(">hhihi", _METADATA, _VERSION, _ID, -1, _NO_TOPICS)))
            (size,) = struct.unpack(">i", _read(connection, 4))
            answer = _read(connection, size)
    except (OSError, EOFError):
        return False
    correlation, brokers = struct.unpack_from(">ii", answer)
    return bool(correlation == _ID and brokers > 0)


def _framed(request: bytes) -> bytes:
    return struct.pack(">i", len(request)) + request


def _read(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = connection.recv(size - len(found))
        if not more:
            raise EOFError
        found += more
    return found
