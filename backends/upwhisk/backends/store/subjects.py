"""Subjects, their keys (sealed), and the limits of namespaces."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from upwhisk.backends.store.database import Readers, Writer
from upwhisk.backends.store.sealing import Sealer
from upwhisk.common.errors import DocumentMissing, RevisionConflict
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.spi.store import SubjectStore

_Found = list[tuple[bytes, int, bytes | None, bytes | None, bytes | None]]
_SELECT = """
SELECT s.subject, s.blocked, k.namespace, k.uuid, k.secret FROM subjects s
LEFT JOIN subject_keys k ON k.subject = s.subject WHERE s.subject {} ORDER BY s.subject, k.position
"""


class SQLiteSubjects(SubjectStore):
    def __init__(self, writer: Writer, readers: Readers, sealer: Sealer) -> None:
        self._writer = writer
        self._readers = readers
        self._sealer = sealer

    async def get(self, subject: str) -> Subject | None:
        return next(iter(await self._select("= ?", subject)), None)

    async def by_uuid(self, uuid: str) -> Subject | None:
        which = "= (SELECT subject FROM subject_keys WHERE uuid = ?)"
        return next(iter(await self._select(which, uuid)), None)

    async def by_namespace(self, namespace: str) -> list[Subject]:
        return await self._select("IN (SELECT subject FROM subject_keys WHERE namespace = ?)", namespace)

    async def put(self, subject: Subject) -> None:
        keys = [
            (key.uuid, subject.subject, position, key.name, self._sealer.seal(key.key, key.uuid))
            for position, key in enumerate(subject.namespaces)
        ]
        await self._writer.run(lambda connection: _put(connection, subject, keys))

    async def delete(self, subject: str) -> None:
        def remove(connection: sqlite3.Connection) -> None:
            if connection.execute("DELETE FROM subjects WHERE subject = ?", (subject,)).rowcount == 0:
                raise DocumentMissing(subject)
            connection.execute("DELETE FROM subject_keys WHERE subject = ?", (subject,))

        await self._writer.run(remove)

    async def limits(self, namespace: str) -> NamespaceLimits | None:
        def read(connection: sqlite3.Connection) -> bytes | None:
            statement = "SELECT limits FROM namespace_limits WHERE namespace = ?"
            found = connection.execute(statement, (namespace,)).fetchone()
            return None if found is None else found[0]

        stored = await self._readers.run(read)
        return None if stored is None else msgspec.json.decode(stored, type=NamespaceLimits)

    async def put_limits(self, namespace: str, limits: NamespaceLimits) -> None:
        row = (namespace, msgspec.json.encode(limits))
        await self._writer.run(lambda c: c.execute("INSERT OR REPLACE INTO namespace_limits VALUES(?, ?)", row).close())

    async def delete_limits(self, namespace: str) -> None:
        def remove(connection: sqlite3.Connection) -> None:
            if connection.execute("DELETE FROM namespace_limits WHERE namespace = ?", (namespace,)).rowcount == 0:
                raise DocumentMissing(f"{namespace}/limits")

        await self._writer.run(remove)

    async def _select(self, which: str, value: str) -> list[Subject]:
        statement = _SELECT.format(which)
        found: _Found = await self._readers.run(lambda c: c.execute(statement, (value,)).fetchall())
        return list(self._subjects(found))

    def _subjects(self, rows: _Found) -> Iterable[Subject]:
        subjects: dict[str, Subject] = {}
        for name, blocked, namespace, uuid, secret in rows:
            subject = subjects.setdefault(name.decode(), Subject(name.decode(), blocked=bool(blocked)))
            if namespace is not None and uuid is not None and secret is not None:
                key = NamespaceKey(namespace.decode(), uuid.decode(), self._sealer.open(secret, uuid.decode()))
                subject = msgspec.structs.replace(subject, namespaces=(*subject.namespaces, key))
            subjects[subject.subject] = subject
        return subjects.values()


def _put(connection: sqlite3.Connection, subject: Subject, keys: list[tuple[str, str, int, str, bytes]]) -> None:
    connection.execute("DELETE FROM subject_keys WHERE subject = ?", (subject.subject,))
    for row in keys:
        if connection.execute("INSERT OR IGNORE INTO subject_keys VALUES(?, ?, ?, ?, ?)", row).rowcount == 0:
            raise RevisionConflict(subject.subject)
    connection.execute("INSERT OR REPLACE INTO subjects VALUES(?, ?)", (subject.subject, subject.blocked))
