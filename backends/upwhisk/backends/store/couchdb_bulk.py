"""Writing records in numbers: batches, what CouchDB refuses, what is there already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import structlog

from upwhisk.backends.store.couchdb_answers import REFUSED, reason_of
from upwhisk.backends.store.couchdb_batches import batches, bulk_parts
from upwhisk.backends.store.couchdb_body import Body
from upwhisk.backends.store.couchdb_client import LONG_S, Call, CouchClient, Unreached
from upwhisk.backends.store.couchdb_pages import read_json
from upwhisk.backends.store.couchdb_records import StoredRecord, attached, stored
from upwhisk.backends.store.database import unavailable
from upwhisk.common.ids import ActivationId
from upwhisk.common.model.activation import Activation

log = structlog.get_logger(__name__)


class _Outcome(msgspec.Struct):
    """A row of the answer to `_bulk_docs`."""

    id: str = ""
    error: str | None = None
    reason: Any = None


class BulkWriter:
    def __init__(self, client: CouchClient, database: str) -> None:
        self._client = client
        self._path = f"{client.database(database)}/_bulk_docs"

    async def write(self, records: Sequence[Activation]) -> int:
        """How many were new. One batch after the other; the next is encoded when the one before is stored."""
        new = 0
        for batch in batches(_rows(records)):
            new += await self._store(batch)
        return new

    async def _store(self, batch: list[StoredRecord]) -> int:
        body = Body(bulk_parts(batch))
        call = Call(method="POST", path=self._path, body=body, lane="write", timeout_s=LONG_S)
        try:
            answer = await self._client.send(call)
        except Unreached as failure:
            if not failure.crashed or _is_last_form(batch):
                raise
            return await self._store_apart(batch, failure.why)
        if answer.status in REFUSED:
            return await self._store_apart(batch, reason_of(answer))
        outcomes = read_json(answer, list[_Outcome])
        if len(outcomes) != len(batch):
            raise unavailable("CouchDB's answer has not a row for each record")
        return sum(_is_new(outcome) for outcome in outcomes)

    async def _store_apart(self, batch: list[StoredRecord], reason: str) -> int:
        """One row makes CouchDB refuse all: find it, and try it in another form."""
        if len(batch) > 1:
            middle = len(batch) // 2
            return await self._store(batch[:middle]) + await self._store(batch[middle:])
        if not _is_last_form(batch):
            return await self._store([attached(batch[0].record)])
        _leave_out(batch[0].id, reason)
        return 0


def _is_last_form(batch: list[StoredRecord]) -> bool:
    """One record, with nothing of a guest's in what CouchDB has to understand."""
    return len(batch) == 1 and batch[0].attachment is not None


def _rows(records: Sequence[Activation]) -> Iterator[StoredRecord]:
    """The first of each id, encoded when its batch is made."""
    seen: set[ActivationId] = set()
    for record in records:
        if record.activation_id in seen:
            continue
        seen.add(record.activation_id)
        try:
            yield stored(record)
        except (ValueError, TypeError, RecursionError) as error:
            _leave_out(record.activation_id, str(error))


def _is_new(outcome: _Outcome) -> bool:
    """`StoreUnavailable` for what is neither stored nor there already."""
    if outcome.error is None:
        return True
    if outcome.error == "forbidden":
        _leave_out(outcome.id, str(outcome.reason)[:200])
    elif outcome.error != "conflict":
        raise unavailable(f"CouchDB does not store a record: {outcome.error}")
    return False


def _leave_out(record_id: str, reason: str) -> None:
    """It can never be stored; those beside it shall not wait for it."""
    log.error("record cannot be stored", action="store.record_refused", activation_id=record_id, reason=reason)
