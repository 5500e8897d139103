"""The two requests that every message needs, as bytes: Produce 7 and Fetch 11, for one partition (0) a topic. Pure.

aiokafka describes requests by schemas that it walks for each of them; with one partition a topic both are a few fields
around the records.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

PRODUCE = (0, 7)
FETCH = (1, 11)
"""Key and version; brokers since Kafka 2.3 speak both."""

NO_ERROR = 0
OFFSET_OUT_OF_RANGE = 1

_PRODUCE_HEAD = struct.Struct(">hhii")
_PRODUCE_PARTITION = struct.Struct(">iii")
_FETCH_HEAD = struct.Struct(">iiiibiii")
_FETCH_PARTITION = struct.Struct(">iiiqqi")
_FETCH_TAIL = struct.Struct(">ih")
_COUNT = struct.Struct(">i")
_LENGTH = struct.Struct(">h")
_PRODUCED = struct.Struct(">iihqqq")
_FETCHED = struct.Struct(">iihqqqi")
_ABORTED_BYTES = 16


@dataclass(frozen=True, slots=True)
class Fetched:
    """`records`: whole batches, and perhaps the beginning of one more. `start`: the first offset that the log has."""

    error: int
    start: int
    records: bytes


def header(api: tuple[int, int], correlation: int, client: str) -> bytes:
    return struct.pack(">hhi", *api, correlation) + _text(client)


def produce(timeout_ms: int, batches: list[tuple[str, bytes]]) -> bytes:
    """Topics with one batch each; acknowledged by all in-sync replicas."""
    parts = [_PRODUCE_HEAD.pack(-1, -1, timeout_ms, len(batches))]
    for topic, batch in batches:
        parts += (_text(topic), _PRODUCE_PARTITION.pack(1, 0, len(batch)), batch)
    return b"".join(parts)


def produced(answer: bytes) -> list[tuple[str, int]]:
    """Topic and error code of each batch."""
    (count,) = _COUNT.unpack_from(answer, 0)
    results: list[tuple[str, int]] = []
    at = _COUNT.size
    for _ in range(count):
        topic, at = _read_text(answer, at)
        _, _, error, _, _, _ = _PRODUCED.unpack_from(answer, at)
        at += _PRODUCED.size
        results.append((topic, error))
    return results


def fetch(topic: str, offset: int, *, wait_ms: int, max_bytes: int) -> bytes:
    """What one topic has from `offset` on: at once if there is any, else after `wait_ms` nothing. At least one batch
    comes whole, however large it is."""
    return b"".join(
        (
            _FETCH_HEAD.pack(-1, wait_ms, 1, max_bytes, 0, 0, -1, 1),
            _text(topic),
            _FETCH_PARTITION.pack(1, 0, -1, offset, -1, max_bytes),
            _FETCH_TAIL.pack(0, 0),
        )
    )


def fetched(answer: bytes) -> Fetched:
    _, error, _, topics = struct.unpack_from(">ihii", answer, 0)
    if error != NO_ERROR or topics == 0:
        return Fetched(error, 0, b"")
    _, at = _read_text(answer, 14)
    _, _, error, _, _, start, aborted = _FETCHED.unpack_from(answer, at)
    at += _FETCHED.size + max(0, aborted) * _ABORTED_BYTES
    _, length = struct.unpack_from(">ii", answer, at)
    return Fetched(error, start, answer[at + 8 : at + 8 + max(0, length)])


def _text(text: str) -> bytes:
    raw = text.encode()
    return _LENGTH.pack(len(raw)) + raw


def _read_text(answer: bytes, at: int) -> tuple[str, int]:
    (length,) = _LENGTH.unpack_from(answer, at)
    at += _LENGTH.size
    return answer[at : at + length].decode(), at + length
