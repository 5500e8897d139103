"""Subjects and the limits of namespaces, in the database `subjects`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from upwhisk.backends.store.couchdb_answers import reason_of
from upwhisk.backends.store.couchdb_body import body_of
from upwhisk.backends.store.couchdb_client import LONG_S, Call, CouchClient, escaped
from upwhisk.backends.store.couchdb_documents import limits_fields, limits_of, subject_fields, subject_of
from upwhisk.backends.store.couchdb_json import document_key
from upwhisk.backends.store.couchdb_pages import Pages, read_json
from upwhisk.backends.store.database import unavailable
from upwhisk.backends.store.sealing import Sealer
from upwhisk.common.errors import DocumentMissing, RevisionConflict
from upwhisk.common.model.identity import NamespaceLimits, Subject
from upwhisk.common.spi.store import SubjectStore

_RACES = 8


class _Row(msgspec.Struct):
    doc: dict[str, Any] | None = None


class _Rows(msgspec.Struct):
    rows: list[_Row]


class CouchSubjects(SubjectStore):
    """The last write wins. That a uuid has one owner is looked up before the write: two administrators who give one
    uuid to two subjects in the same moment both succeed, and it then selects the first by name."""

    def __init__(self, client: CouchClient, sealer: Sealer) -> None:
        self._client = client
        self._sealer = sealer
        self._database = client.database("subjects")
        self._pages = Pages(client, "subjects")

    async def get(self, subject: str) -> Subject | None:
        fields = await self._fields(subject)
        return None if fields is None else subject_of(fields, self._sealer)

    async def put(self, subject: Subject) -> None:
        uuids = [key.uuid for key in subject.namespaces]
        if len(set(uuids)) < len(uuids):
            raise RevisionConflict(subject.subject)
        for uuid in uuids:
            owner = await self.by_uuid(uuid)
            if owner is not None and owner.subject != subject.subject:
                raise RevisionConflict(subject.subject)
        await self._replace(subject.subject, lambda: subject_fields(subject, self._sealer))

    async def delete(self, subject: str) -> None:
        await self._remove(subject)

    async def by_uuid(self, uuid: str) -> Subject | None:
        found = await self._select("uuids", uuid)
        return next((each for each in found if any(key.uuid == uuid for key in each.namespaces)), None)

    async def by_namespace(self, namespace: str) -> list[Subject]:
        found = await self._select("namespaces", namespace)
        return [each for each in found if any(key.name == namespace for key in each.namespaces)]

    async def limits(self, namespace: str) -> NamespaceLimits | None:
        fields = await self._fields(f"{namespace}/limits")
        return None if fields is None else limits_of(fields)

    async def put_limits(self, namespace: str, limits: NamespaceLimits) -> None:
        await self._replace(f"{namespace}/limits", lambda: limits_fields(namespace, limits))

    async def delete_limits(self, namespace: str) -> None:
        await self._remove(f"{namespace}/limits")

    async def _select(self, view: str, key: str) -> list[Subject]:
        """By subject. More may be found than asked for: CouchDB's collation takes some different texts for equal."""
        query = {"key": msgspec.json.encode(key).decode(), "include_docs": "true"}
        rows = (await self._pages.view(view, query, _Rows)).rows
        found = (subject_of(row.doc, self._sealer) for row in rows if row.doc is not None)
        subjects = {subject.subject: subject for subject in found if subject is not None}
        return [subjects[name] for name in sorted(subjects)]

    async def _fields(self, id: str) -> dict[str, Any] | None:
        call = Call(method="GET", path=f"{self._database}/{escaped(document_key(id))}")
        answer = await self._client.send(call)
        return None if answer.status == 404 else read_json(answer, dict[str, Any])

    async def _replace(self, id: str, make: Callable[[], dict[str, Any]]) -> None:
        for _ in range(_RACES):
            stored = await self._fields(id)
            revision = {} if stored is None else {"_rev": stored["_rev"]}
            if await self._write({**make(), **revision}):
                return
        raise unavailable(f"'{id}' is being changed by others all the time")

    async def _remove(self, id: str) -> None:
        for attempt in range(_RACES):
            stored = await self._fields(id)
            if stored is None and attempt > 0:
                return  # gone meanwhile: by an attempt whose answer was lost, or by somebody else
            if stored is None:
                raise DocumentMissing(id)
            if await self._write({"_id": stored["_id"], "_rev": stored["_rev"], "_deleted": True}):
                return
        raise unavailable(f"'{id}' is being changed by others all the time")

    async def _write(self, fields: dict[str, Any]) -> bool:
        """False: changed by somebody else since it was read."""
        body = body_of(fields)
        call = Call(method="POST", path=self._database, body=body, lane="write", timeout_s=LONG_S)
        answer = await self._client.send(call)
        if answer.status == 409:
            return False
        if not answer.is_ok:
            raise unavailable(f"CouchDB answers {reason_of(answer)}")
        return True


class NoSubjects(SubjectStore):
    """Of a process that was given none: every use is a fault in how it was put together."""

    async def get(self, subject: str) -> Subject | None:
        raise _not_here()

    async def put(self, subject: Subject) -> None:
        raise _not_here()

    async def delete(self, subject: str) -> None:
        raise _not_here()

    async def by_uuid(self, uuid: str) -> Subject | None:
        raise _not_here()

    async def by_namespace(self, namespace: str) -> list[Subject]:
        raise _not_here()

    async def limits(self, namespace: str) -> NamespaceLimits | None:
        raise _not_here()

    async def put_limits(self, namespace: str, limits: NamespaceLimits) -> None:
        raise _not_here()

    async def delete_limits(self, namespace: str) -> None:
        raise _not_here()


def _not_here() -> RuntimeError:
    return RuntimeError("this process was started without the subjects of the fleet")
