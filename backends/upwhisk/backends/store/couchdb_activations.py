"""Records in the database `activations`: written in batches, read by id and by time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from upwhisk.backends.store.couchdb_answers import reason_of
from upwhisk.backends.store.couchdb_bulk import BulkWriter
from upwhisk.backends.store.couchdb_client import LONG_S, Call, CouchClient, escaped
from upwhisk.backends.store.couchdb_pages import Pages, read_json
from upwhisk.backends.store.couchdb_records import RECORD, key_of, record_of
from upwhisk.backends.store.couchdb_views import record_range
from upwhisk.backends.store.database import unavailable
from upwhisk.common.ids import ActivationId, is_activation_id
from upwhisk.common.model.activation import Activation
from upwhisk.common.names import is_segment
from upwhisk.common.spi.store import ActivationQuery, ActivationStore

log = structlog.get_logger(__name__)

_AT_ONCE = 4
"""Attachments read at a time for one list."""


class _Id(msgspec.Struct):
    id: str = msgspec.field(name="_id")


class CouchActivations(ActivationStore):
    def __init__(self, client: CouchClient) -> None:
        self._client = client
        self._database = client.database("activations")
        self._pages = Pages(client, "activations")
        self._bulk = BulkWriter(client, "activations")

    async def put(self, records: Sequence[Activation]) -> int:
        """After an outage in its midst, records that it had stored by then may not be counted as new."""
        return await self._bulk.write(records)

    async def get(self, namespace: str, id: ActivationId) -> bytes | None:
        if not is_activation_id(id):
            return None
        path = f"{self._database}/{escaped(key_of(namespace, id))}"
        answer = await self._client.send(Call(method="GET", path=path))
        return None if answer.status == 404 else await self.read(read_json(answer, msgspec.Raw))

    async def list(self, query: ActivationQuery) -> list[bytes]:
        if not _is_plain(query):
            return []
        documents = await self._pages.read(record_range(query), query.skip, query.limit)
        room = asyncio.Semaphore(_AT_ONCE)

        async def read(document: msgspec.Raw) -> bytes | None:
            async with room:
                return await self.read(document)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read(document)) for document in documents]
        return [record for task in tasks if (record := task.result()) is not None]

    async def count(self, query: ActivationQuery) -> int:
        return max(0, await self._pages.count(record_range(query)) - query.skip) if _is_plain(query) else 0

    async def read(self, document: msgspec.Raw) -> bytes | None:
        """The record in a document, or in its attachment. None if it has gone meanwhile, or is not ours."""
        try:
            record = record_of(document)
        except msgspec.MsgspecError as error:
            log.warning("no record", action="store.foreign_document", error=str(error))
            return None
        if record is not None:
            return record
        key = msgspec.json.decode(document, type=_Id).id
        path = f"{self._database}/{escaped(key)}/{RECORD}"
        answer = await self._client.send(Call(method="GET", path=path, raw=True, timeout_s=LONG_S))
        if answer.status == 404:
            return None
        if not answer.is_ok:
            raise unavailable(f"CouchDB answers {reason_of(answer)}")
        return answer.body


def _is_plain(query: ActivationQuery) -> bool:
    """Other texts name nothing, and may be equal to another name in CouchDB's collation."""
    names = [] if query.name is None else query.name.split("/")
    return all(is_segment(part) for part in (query.namespace, *names))
