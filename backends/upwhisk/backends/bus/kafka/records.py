"""Messages as records of Kafka batches, and back.

Every record carries the header `form`, and `traceparent` if its message has one, so that other tools can follow a trace
through the bus without reading our messages.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from upwhisk.common.messages import FORM, Message, encode_message

_MAGIC = 2
_UNBOUNDED = 2**31 - 1
_FORM_HEADER = ("form", str(FORM).encode())
_FORM_ONLY = [_FORM_HEADER]

Headers = list[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who produces: the broker knows a batch that comes twice by this and its sequence number."""

    id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Record:
    offset: int
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Damage:
    """A batch whose checksum is wrong; `next_offset` is behind it."""

    offset: int
    next_offset: int


def record_of(message: Message) -> tuple[bytes, Headers]:
    """`Unencodable`."""
    payload, trace = encode_message(message), getattr(message, "traceparent", None)
    return payload, _FORM_ONLY if trace is None else [_FORM_HEADER, ("traceparent", trace.encode())]


def batch_of(records: list[tuple[bytes, Headers]], identity: Identity, sequence: int) -> bytes:
    builder = DefaultRecordBatchBuilder(_MAGIC, 0, 0, identity.id, identity.epoch, sequence, _UNBOUNDED)
    now_ms = int(time.time() * 1000)
    for index, (payload, headers) in enumerate(records):
        builder.append(index, now_ms, None, payload, headers)
    return bytes(builder.build())


def records_from(data: bytes, offset: int) -> tuple[list[Record], int, Damage | None]:
    """The records of all whole batches from `offset` on, and the offset to go on with. A damaged batch ends them."""
    found: list[Record] = []
    batches = MemoryRecords(data)
    while batches.has_next():
        batch = batches.next_batch()
        if not batch.validate_crc():
            return found, offset, Damage(batch.base_offset, batch.next_offset)
        if not batch.is_control_batch:
            found += (Record(r.offset, r.value, r.headers) for r in batch if r.offset >= offset)
        offset = max(offset, batch.next_offset)
    return found, offset, None
