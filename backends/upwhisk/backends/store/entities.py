"""Entities: documents with opaque revisions."""

from __future__ import annotations

import os
import sqlite3

import msgspec

from upwhisk.backends.store.database import Readers, Writer, fitting, joined, split
from upwhisk.common.errors import DocumentMissing, RevisionConflict
from upwhisk.common.spi.store import Document, EntityQuery, EntityStore

_decode = msgspec.json.Decoder(Document).decode
_encode = msgspec.json.Encoder().encode


class SQLiteEntities(EntityStore):
    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def get(self, id: str, *, attachment: bool = False) -> Document | None:
        def read(connection: sqlite3.Connection) -> tuple[bytes, bytes | None] | None:
            if attachment:
                found = connection.execute(_GET_WHOLE, (id,)).fetchone()
            else:
                found = connection.execute("SELECT document, NULL FROM entities WHERE id = ?", (id,)).fetchone()
            return None if found is None else (found[0], found[1])

        answer = await self._readers.run(read)
        if answer is None:
            return None
        document = _decode(answer[0])
        return document if answer[1] is None else msgspec.structs.replace(document, attachment=answer[1])

    async def put(self, document: Document) -> str:
        return await self._writer.run(lambda connection: put(connection, document))

    async def delete(self, id: str, revision: str) -> None:
        def remove(connection: sqlite3.Connection) -> None:
            stored = _revision(connection, id)
            if stored is None:
                raise DocumentMissing(id)
            if stored != revision:
                raise RevisionConflict(id)
            connection.execute("DELETE FROM entities WHERE id = ?", (id,))
            connection.execute("DELETE FROM attachments WHERE id = ?", (id,))

        await self._writer.run(remove)

    async def list(self, query: EntityQuery) -> list[Document]:
        where, values = _condition(query)
        page = f"SELECT document FROM entities WHERE {where} ORDER BY updated DESC, seq DESC LIMIT ? OFFSET ?"  # noqa: S608 - fixed texts
        statement = joined("document", page)
        bounds = [fitting(query.limit) or -1, fitting(query.skip)]
        texts = await self._readers.run(lambda c: split(c.execute(statement, [*values, *bounds]).fetchone()[0]))
        return [_decode(text) for text in texts]

    async def count(self, query: EntityQuery) -> int:
        where, values = _condition(query)
        statement = f"SELECT count(*) FROM entities WHERE {where}"  # noqa: S608 - fixed texts
        found: int = await self._readers.run(lambda c: c.execute(statement, values).fetchone()[0])
        return max(0, found - query.skip)


_GET_WHOLE = "SELECT e.document, a.data FROM entities e LEFT JOIN attachments a ON a.id = e.id WHERE e.id = ?"
_UPSERT = """
INSERT INTO entities(id, collection, namespace, path, updated, revision, public, document) VALUES(?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(id) DO UPDATE SET collection = excluded.collection, namespace = excluded.namespace, path = excluded.path,
    updated = excluded.updated, revision = excluded.revision, public = excluded.public, document = excluded.document
"""


def put(connection: sqlite3.Connection, document: Document) -> str:
    """Create or replace inside the caller's transaction; the new revision."""
    stored = _revision(connection, document.id)
    if stored != document.revision:
        raise RevisionConflict(document.id)
    revision = next_revision(stored)
    whole = msgspec.structs.replace(
        document,
        revision=revision,
        has_attachment=document.has_attachment or document.attachment is not None,
        attachment=None,
    )
    row = (document.id, document.collection, document.namespace, document.path, document.updated, revision)
    connection.execute(_UPSERT, (*row, is_public(document), _encode(whole)))
    if document.attachment is not None:
        connection.execute("INSERT OR REPLACE INTO attachments VALUES(?, ?)", (document.id, document.attachment))
    elif not document.has_attachment:
        connection.execute("DELETE FROM attachments WHERE id = ?", (document.id,))
    return revision


def next_revision(stored: str | None) -> str:
    """`N-<32 hex>`: counts on while the document lives; the random part never repeats, not even after a delete."""
    number = 0 if stored is None else int(stored.partition("-")[0])
    return f"{number + 1}-{os.urandom(16).hex()}"


def is_public(document: Document) -> bool:
    """Whether others may list it: a package that is published and no binding."""
    return (
        document.collection == "packages"
        and document.body.get("publish") is True
        and not document.body.get("binding")
    )


def _revision(connection: sqlite3.Connection, id: str) -> str | None:
    found = connection.execute("SELECT revision FROM entities WHERE id = ?", (id,)).fetchone()
    return None if found is None else str(found[0])


def _condition(query: EntityQuery) -> tuple[str, list[str | int]]:
    terms, values = ["namespace = ?", "collection = ?"], [query.namespace, query.collection]
    if query.path is not None:
        terms.append("path = ?")
        values.append(query.path)
    if query.public_only:
        terms.append("public = 1")
    return " AND ".join(terms), list(values)
