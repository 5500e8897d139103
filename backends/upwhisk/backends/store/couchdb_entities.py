"""Entities in the database `whisks`."""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.backends.store.couchdb_answers import Answer, reason_of
from upwhisk.backends.store.couchdb_body import Body, body_of, with_attachment
from upwhisk.backends.store.couchdb_client import LONG_S, REQUEST_S, Call, CouchClient, escaped
from upwhisk.backends.store.couchdb_documents import CODE, entity_fields, entity_of, entity_type
from upwhisk.backends.store.couchdb_json import document_key
from upwhisk.backends.store.couchdb_pages import Pages, read_json
from upwhisk.backends.store.couchdb_views import entity_range
from upwhisk.backends.store.database import unavailable
from upwhisk.common.errors import DocumentMissing, RevisionConflict
from upwhisk.common.names import is_segment
from upwhisk.common.spi.store import Document, EntityQuery, EntityStore

_LARGE = 1024 * 1024
_RACES = 3


class _Written(msgspec.Struct):
    """CouchDB's answer to a write; of several in one request, a row for each."""

    rev: str = ""
    error: str | None = None


class CouchEntities(EntityStore):
    def __init__(self, client: CouchClient) -> None:
        self._client = client
        self._database = client.database("whisks")
        self._pages = Pages(client, "whisks")

    async def get(self, id: str, *, attachment: bool = False) -> Document | None:
        for _ in range(_RACES):
            fields = await self._fields(id)
            document = None if fields is None else entity_of(fields)
            if document is None or not attachment or not document.has_attachment:
                return document
            code = await self._code(document)
            if code is not None:  # None: replaced between the two reads, and compacted away
                return msgspec.structs.replace(document, attachment=code)
        raise unavailable(f"the code of '{id}' is not there, or replaced all the time")

    async def put(self, document: Document) -> str:
        fields = entity_fields(document)
        if document.revision is not None:
            fields["_rev"] = document.revision
        if document.attachment is None and document.has_attachment and document.revision is not None:
            fields |= await self._kept_attachments(document.id, document.revision)
        if document.attachment is None:
            return await self._write(document.id, fields, body_of(fields))
        parts = with_attachment(msgspec.json.encode(fields), CODE, document.attachment)
        return await self._write(document.id, fields, Body(parts))

    async def delete(self, id: str, revision: str) -> None:
        row = {"_id": document_key(id), "_rev": revision, "_deleted": True}
        call = Call(
            method="POST", path=f"{self._database}/_bulk_docs", body=body_of({"docs": [row]}), lane="write"
        )
        answer = await self._client.send(call)
        if not _is_bad_revision(answer):
            (outcome,) = read_json(answer, tuple[_Written])
            if outcome.error is None:
                return
            if outcome.error != "conflict":
                raise unavailable(f"CouchDB refuses a delete: {outcome.error}")
        if await self._fields(id) is not None:
            raise RevisionConflict(id)
        if not answer.uncertain:
            raise DocumentMissing(id)

    async def list(self, query: EntityQuery) -> list[Document]:
        if not _is_plain(query):
            return []
        rows = await self._pages.read(entity_range(query, entity_type(query.collection)), query.skip, query.limit)
        found = (entity_of(msgspec.json.decode(row)) for row in rows)
        return [document for document in found if document is not None]

    async def count(self, query: EntityQuery) -> int:
        if not _is_plain(query):
            return 0
        return max(0, await self._pages.count(entity_range(query, entity_type(query.collection))) - query.skip)

    def _path(self, id: str) -> str:
        return f"{self._database}/{escaped(document_key(id))}"

    async def _code(self, document: Document) -> bytes | None:
        path, query = f"{self._path(document.id)}/{CODE}", {"rev": str(document.revision)}
        call = Call(method="GET", path=path, query=query, raw=True, timeout_s=LONG_S)
        answer = await self._client.send(call)
        if answer.status == 404:
            return None
        if not answer.is_ok:
            raise unavailable(f"CouchDB answers {reason_of(answer)}")
        return answer.body

    async def _fields(self, id: str) -> dict[str, Any] | None:
        answer = await self._client.send(Call(method="GET", path=self._path(id)))
        return None if answer.status == 404 else read_json(answer, dict[str, Any])

    async def _kept_attachments(self, id: str, revision: str) -> dict[str, Any]:
        """The stored stubs. CouchDB needs their names alone, what speaks its protocol their digests too."""
        stored = await self._fields(id)
        if stored is None or stored["_rev"] != revision:
            raise RevisionConflict(id)
        return {key: value for key, value in stored.items() if key == "_attachments"}

    async def _write(self, id: str, fields: dict[str, Any], body: Body) -> str:
        timeout_s = LONG_S if body.length > _LARGE else REQUEST_S
        # POST, not PUT: the client library repeats a PUT by itself, and we could not tell its conflict from another's.
        call = Call(method="POST", path=self._database, body=body, lane="write", timeout_s=timeout_s)
        answer = await self._client.send(call)
        if answer.status not in (409, 412) and not _is_bad_revision(answer):
            return read_json(answer, _Written).rev
        if answer.uncertain and (ours := await self._written_before(id, fields)) is not None:
            return ours
        raise RevisionConflict(id)

    async def _written_before(self, id: str, fields: dict[str, Any]) -> str | None:
        """The revision of the stored document, if an attempt whose answer was lost has written it."""
        stored, wanted = await self._fields(id), msgspec.json.decode(msgspec.json.encode(fields))
        if stored is None or any(stored.get(key) != wanted[key] for key in wanted if key[0] != "_"):
            return None
        return str(stored["_rev"])


def _is_plain(query: EntityQuery) -> bool:
    """Other texts name nothing, and may be equal to another name in CouchDB's collation."""
    parts = [query.namespace] if query.path is None else [query.namespace, *query.path.split("/")]
    return all(is_segment(part) for part in parts)


def _is_bad_revision(answer: Answer) -> bool:
    return answer.status == 400 and b"rev" in answer.body
