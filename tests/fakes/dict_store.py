"""The store contract on dictionaries, as small as it can be: for tests of rooms that only need a store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from upwhisk.common.errors import DocumentMissing, RevisionConflict
from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import Activation, encode_record
from upwhisk.common.model.identity import NamespaceLimits, Subject
from upwhisk.common.model.parameters import value_of
from upwhisk.common.spi.store import (
    ActivationQuery,
    ActivationStore,
    ArtifactStore,
    Document,
    EntityQuery,
    EntityStore,
    Journal,
    JournalEntry,
    StoreStatistics,
    SubjectStore,
)

T = TypeVar("T")


class DictEntities(EntityStore):
    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._revision = 0

    async def get(self, id: str, *, attachment: bool = False) -> Document | None:
        document = self._documents.get(id)
        if document is None or attachment:
            return document
        return msgspec.structs.replace(document, attachment=None)

    async def put(self, document: Document) -> str:
        stored = self._documents.get(document.id)
        if (stored.revision if stored else None) != document.revision:
            raise RevisionConflict(document.id)
        self._revision += 1
        attachment = document.attachment
        if document.has_attachment and attachment is None and stored is not None:
            attachment = stored.attachment
        # Through bytes, so that nobody shares values with the store.
        body = msgspec.json.decode(msgspec.json.encode(document.body))
        self._documents[document.id] = msgspec.structs.replace(
            document, revision=str(self._revision), attachment=attachment, body=body
        )
        return str(self._revision)

    async def delete(self, id: str, revision: str) -> None:
        stored = self._documents.get(id)
        if stored is None:
            raise DocumentMissing(id)
        if stored.revision != revision:
            raise RevisionConflict(id)
        del self._documents[id]

    async def list(self, query: EntityQuery) -> list[Document]:
        found = [d for d in self._documents.values() if _matches(d, query)]
        found.sort(key=lambda d: d.updated, reverse=True)
        end = query.skip + query.limit if query.limit else None
        return [msgspec.structs.replace(d, attachment=None) for d in found[query.skip : end]]

    async def count(self, query: EntityQuery) -> int:
        return max(0, sum(_matches(d, query) for d in self._documents.values()) - query.skip)


def _matches(document: Document, query: EntityQuery) -> bool:
    if document.namespace != query.namespace or document.collection != query.collection:
        return False
    if query.path is not None and document.path != query.path:
        return False
    body = document.body
    return not query.public_only or (body.get("publish") is True and not body.get("binding"))


class DictActivations(ActivationStore):
    def __init__(self) -> None:
        self.records: dict[str, Activation] = {}

    async def get(self, namespace: str, id: ActivationId) -> bytes | None:
        record = self.records.get(id)
        return None if record is None or record.namespace != namespace else encode_record(record)

    async def list(self, query: ActivationQuery) -> list[bytes]:
        found = self._found(query)
        end = query.skip + query.limit if query.limit else None
        return [encode_record(r) for r in found[query.skip : end]]

    async def count(self, query: ActivationQuery) -> int:
        return max(0, len(self._found(query)) - query.skip)

    def _found(self, query: ActivationQuery) -> list[Activation]:
        found = [
            r
            for r in self.records.values()
            if r.namespace == query.namespace
            and (query.since is None or r.start >= query.since)
            and (query.upto is None or r.start <= query.upto)
            and (query.name is None or _called(r) == query.name)
        ]
        return sorted(found, key=lambda r: r.start, reverse=True)


def _called(record: Activation) -> str:
    path = str(value_of(record.annotations, "path", record.name)).split("/")
    return "/".join(path[1:]) if len(path) > 1 else record.name


class DictSubjects(SubjectStore):
    def __init__(self) -> None:
        self._subjects: dict[str, Subject] = {}
        self._limits: dict[str, NamespaceLimits] = {}

    async def get(self, subject: str) -> Subject | None:
        return self._subjects.get(subject)

    async def put(self, subject: Subject) -> None:
        for key in subject.namespaces:
            owner = await self.by_uuid(key.uuid)
            if owner is not None and owner.subject != subject.subject:
                raise RevisionConflict(subject.subject)
        self._subjects[subject.subject] = subject

    async def delete(self, subject: str) -> None:
        if self._subjects.pop(subject, None) is None:
            raise DocumentMissing(subject)

    async def by_uuid(self, uuid: str) -> Subject | None:
        return next((s for s in self._subjects.values() if any(n.uuid == uuid for n in s.namespaces)), None)

    async def by_namespace(self, namespace: str) -> list[Subject]:
        return [
            s for _, s in sorted(self._subjects.items()) if any(n.name == namespace for n in s.namespaces)
        ]

    async def limits(self, namespace: str) -> NamespaceLimits | None:
        return self._limits.get(namespace)

    async def put_limits(self, namespace: str, limits: NamespaceLimits) -> None:
        self._limits[namespace] = limits

    async def delete_limits(self, namespace: str) -> None:
        if self._limits.pop(namespace, None) is None:
            raise DocumentMissing(namespace)


class DictJournal(Journal):
    def __init__(self, activations: DictActivations) -> None:
        self._activations = activations
        self._entries: dict[str, JournalEntry] = {}

    def accept(
        self, messages: Sequence[ActivationMessage], records: Sequence[Activation] = ()
    ) -> Awaitable[None]:
        for message in messages:
            self._entries.setdefault(message.activation_id, JournalEntry(message=message))
        for record in records:
            self._activations.records.setdefault(record.activation_id, record)
        return _done(None)

    def begin(self, id: ActivationId, attempt: int) -> Awaitable[None]:
        if id in self._entries:
            self._entries[id] = msgspec.structs.replace(self._entries[id], attempt=attempt)
        return _done(None)

    def note(self, id: ActivationId, progress: bytes) -> Awaitable[None]:
        if id in self._entries:
            self._entries[id] = msgspec.structs.replace(self._entries[id], progress=progress)
        return _done(None)

    def settle(self, record: Activation) -> Awaitable[bool]:
        fresh = record.activation_id not in self._activations.records
        self._activations.records.setdefault(record.activation_id, record)
        self._entries.pop(record.activation_id, None)
        return _done(fresh)

    def discard(self, id: ActivationId) -> Awaitable[None]:
        self._entries.pop(id, None)
        return _done(None)

    async def pending(self) -> list[JournalEntry]:
        return list(self._entries.values())


def _done(value: T) -> Awaitable[T]:
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


class DictStore(ArtifactStore):
    def __init__(self) -> None:
        self.entities = DictEntities()
        self.activations: DictActivations = DictActivations()
        self.subjects = DictSubjects()
        self.journal = DictJournal(self.activations)

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...

    def accepts_work(self) -> str | None:
        return None

    async def statistics(self) -> StoreStatistics:
        return StoreStatistics(records=0, record_bytes=0, pending=0, file_bytes=0, free_bytes=0)

    async def backup(self, target: Path) -> None: ...
