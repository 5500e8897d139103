"""Which records travel together. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from upwhisk.backends.store.couchdb_body import Base64, with_attachment
from upwhisk.backends.store.couchdb_records import RECORD, StoredRecord

BATCH = 250
"""Records in one request: larger ones gain little and hold the loop while they are encoded."""
BATCH_BYTES = 4 * 1024 * 1024


def batches(rows: Iterable[StoredRecord]) -> Iterator[list[StoredRecord]]:
    """In their order; bounded by number and bytes. One record alone may be larger."""
    batch: list[StoredRecord] = []
    size = 0
    for row in rows:
        if batch and (len(batch) >= BATCH or size + row.size > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += row.size
    if batch:
        yield batch


def bulk_parts(batch: list[StoredRecord]) -> list[bytes | Base64]:
    """The body of one `_bulk_docs`."""
    parts: list[bytes | Base64] = [b'{"docs":[']
    for number, row in enumerate(batch):
        if number:
            parts.append(b",")
        if row.attachment is None:
            parts.append(row.document)
        else:
            parts += with_attachment(row.document, RECORD, row.attachment)
    return [*parts, b"]}"]
