"""Entities, subjects and limits of the memory store."""

from __future__ import annotations

import msgspec

from upwhisk.backends.store.entities import is_public, next_revision
from upwhisk.common.errors import DocumentMissing, RevisionConflict
from upwhisk.common.model.identity import NamespaceLimits, Subject
from upwhisk.common.spi.store import Document, EntityQuery, EntityStore, SubjectStore

_copy = msgspec.json.Decoder(Document).decode
_encode = msgspec.json.Encoder().encode


class MemoryEntities(EntityStore):
    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}

    async def get(self, id: str, *, attachment: bool = False) -> Document | None:
        found = self.documents.get(id)
        return None if found is None else _shown(found, found.attachment if attachment else None)

    async def put(self, document: Document) -> str:
        stored = self.documents.get(document.id)
        if document.revision != (None if stored is None else stored.revision):
            raise RevisionConflict(document.id)
        attachment = document.attachment
        if attachment is None and document.has_attachment and stored is not None:
            attachment = stored.attachment
        revision = next_revision(document.revision)
        has_attachment = document.has_attachment or attachment is not None
        whole = msgspec.structs.replace(document, revision=revision, has_attachment=has_attachment)
        self.documents[document.id] = _shown(whole, attachment)
        return revision

    async def delete(self, id: str, revision: str) -> None:
        stored = self.documents.get(id)
        if stored is None:
            raise DocumentMissing(id)
        if stored.revision != revision:
            raise RevisionConflict(id)
        del self.documents[id]

    async def list(self, query: EntityQuery) -> list[Document]:
        end = query.skip + query.limit if query.limit else None
        return [_shown(document, None) for document in self._matching(query)[query.skip : end]]

    async def count(self, query: EntityQuery) -> int:
        return max(0, len(self._matching(query)) - query.skip)

    def _matching(self, query: EntityQuery) -> tuple[Document, ...]:
        found = [
            document
            for document in self.documents.values()
            if document.namespace == query.namespace
            and document.collection == query.collection
            and (query.path is None or document.path == query.path)
            and (not query.public_only or is_public(document))
        ]
        return tuple(sorted(found, key=lambda document: document.updated, reverse=True))


class MemorySubjects(SubjectStore):
    def __init__(self) -> None:
        self.subjects: dict[str, Subject] = {}
        self.namespace_limits: dict[str, NamespaceLimits] = {}

    async def get(self, subject: str) -> Subject | None:
        return self.subjects.get(subject)

    async def put(self, subject: Subject) -> None:
        uuids = [key.uuid for key in subject.namespaces]
        others = (other for other in self.subjects.values() if other.subject != subject.subject)
        taken = {key.uuid for other in others for key in other.namespaces}
        if len(set(uuids)) != len(uuids) or not taken.isdisjoint(uuids):
            raise RevisionConflict(subject.subject)
        self.subjects[subject.subject] = subject

    async def delete(self, subject: str) -> None:
        if self.subjects.pop(subject, None) is None:
            raise DocumentMissing(subject)

    async def by_uuid(self, uuid: str) -> Subject | None:
        return next((s for s in self.subjects.values() if any(k.uuid == uuid for k in s.namespaces)), None)

    async def by_namespace(self, namespace: str) -> list[Subject]:
        found = [s for s in self.subjects.values() if any(k.name == namespace for k in s.namespaces)]
        return sorted(found, key=lambda s: s.subject)

    async def limits(self, namespace: str) -> NamespaceLimits | None:
        return self.namespace_limits.get(namespace)

    async def put_limits(self, namespace: str, limits: NamespaceLimits) -> None:
        self.namespace_limits[namespace] = limits

    async def delete_limits(self, namespace: str) -> None:
        if self.namespace_limits.pop(namespace, None) is None:
            raise DocumentMissing(f"{namespace}/limits")


def _shown(document: Document, attachment: bytes | None) -> Document:
    """A copy through JSON, as a reader of any other store gets one: nobody holds the stored body."""
    bare = _copy(_encode(msgspec.structs.replace(document, attachment=None)))
    return msgspec.structs.replace(bare, attachment=attachment)
