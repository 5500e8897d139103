"""Cached reads and writes of entities, by revision.

Every read goes through one bounded cache; every write goes through here and drops what it changes. A warm invoke
finds its `ResolvedAction` with one dictionary lookup and needs no store.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from upwhisk.common.errors import Conflict, DocumentMissing, InternalError, NotFound, RevisionConflict
from upwhisk.common.messages import ActionRef
from upwhisk.common.model import action as action_model
from upwhisk.common.model import package as package_model
from upwhisk.common.model import rule as rule_model
from upwhisk.common.model import trigger as trigger_model
from upwhisk.common.model.action import Action
from upwhisk.common.model.package import Package
from upwhisk.common.model.rule import Rule
from upwhisk.common.model.trigger import Trigger
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import Document, EntityStore
from upwhisk.controller.resolved import ResolvedAction, resolve

WRONG_COLLECTION: Final = "Resource by this name exists but is not in this collection."
CORRUPTED: Final = "Resource is corrupted and cannot be read."
CONCURRENT: Final = "Concurrent modification to resource detected."
_OVERHEAD: Final = 2048
"""Assumed bytes of one cached entity beside its code."""

Entity = Action | Package | Trigger | Rule
E = TypeVar("E", Action, Package, Trigger, Rule)

_READERS: Final[dict[str, Callable[[Document], Entity]]] = {
    "actions": action_model.from_document,
    "packages": package_model.from_document,
    "triggers": trigger_model.from_document,
    "rules": rule_model.from_document,
}
_COLLECTION_OF: Final[dict[type[Any], str]] = {
    Action: "actions",
    Package: "packages",
    Trigger: "triggers",
    Rule: "rules",
}


class Catalog:
    """`capacity_bytes` bounds what the cache holds; the least recently used entities leave first."""

    def __init__(self, entities: EntityStore, *, capacity_bytes: int = 64 * 1024 * 1024) -> None:
        self._entities = entities
        self._capacity = capacity_bytes
        self._held = 0
        self._cache: OrderedDict[str, tuple[Entity, int]] = OrderedDict()
        self._resolved: dict[str, ResolvedAction] = {}
        self._writes = 0

    def statistics(self) -> dict[str, int]:
        return {"entities": len(self._cache), "bytes": self._held, "resolved": len(self._resolved)}

    def warm(self, document_id: str) -> ResolvedAction | None:
        """The resolved action if it is cached."""
        return self._resolved.get(document_id)

    def known(self, ref: ActionRef) -> Action | None:
        """The action in exactly this revision, if it is cached: for a node in the same process."""
        cached = self._cache.get(ref.document_id)
        entity = None if cached is None else cached[0]
        return entity if isinstance(entity, Action) and entity.revision == ref.revision else None

    async def resolve(self, name: EntityName) -> ResolvedAction | None:
        """The action with its package's parameters merged in; None if it, or its package, does not exist.

        `Conflict` if the name belongs to another kind of entity.
        """
        found = self._resolved.get(name.document_id)
        if found is not None:
            return found
        writes = self._writes
        package = None
        if name.its_package is not None:
            package = await self.find(Package, name.its_package)
            if package is None:
                return None
        action = await self.find(Action, name)
        if action is None:
            return None
        resolved = resolve(action, package)
        if writes == self._writes and name.document_id in self._cache:
            self._resolved[name.document_id] = resolved
        return resolved

    async def find(self, kind: type[E], name: EntityName) -> E | None:
        """The entity, or None. `Conflict` if the name belongs to another kind of entity."""
        entity = await self._read(name.document_id)
        if entity is None:
            return None
        if not isinstance(entity, kind):
            raise Conflict(WRONG_COLLECTION)
        return entity

    async def fresh(self, kind: type[E], name: EntityName) -> E | None:
        """As `find`, but asked of the store: another controller may have written it a moment ago."""
        self._drop(name.document_id)
        return await self.find(kind, name)

    async def peek(self, name: EntityName) -> Entity | None:
        """Whatever has this name."""
        return await self._read(name.document_id)

    async def get(self, kind: type[E], name: EntityName) -> E:
        """As `find`, but `NotFound` if it does not exist."""
        entity = await self.find(kind, name)
        if entity is None:
            raise NotFound()
        return entity

    async def put(self, entity: E) -> E:
        """Create (`revision` None) or replace; returns it with its new revision.

        `Conflict` when somebody else wrote in between. It stays in the cache: what is deployed is called soon.
        """
        document = _document(entity)
        writes = self._writes
        try:
            revision = await self._entities.put(document)
        except RevisionConflict:
            raise Conflict(CONCURRENT) from None
        finally:
            self._drop(document.id)
        stored = msgspec.structs.replace(entity, revision=revision)
        if self._writes == writes + 1:  # ours; after another's, nobody here knows which of the two came last
            self._keep(document.id, stored)
        return stored

    async def delete(self, entity: Entity) -> None:
        assert entity.revision is not None, "only what was read can be deleted"
        document_id = entity.name.document_id
        try:
            await self._entities.delete(document_id, entity.revision)
        except RevisionConflict:
            raise Conflict(CONCURRENT) from None
        except DocumentMissing:
            raise NotFound() from None
        finally:
            self._drop(document_id)

    async def _read(self, document_id: str) -> Entity | None:
        cached = self._cache.get(document_id)
        if cached is not None:
            self._cache.move_to_end(document_id)
            return cached[0]
        writes = self._writes
        document = await self._entities.get(document_id, attachment=True)
        if document is None:
            return None
        entity = read_document(document)
        if writes == self._writes:
            # A write that happened while we read may have changed this very entity: then it is not kept.
            self._keep(document_id, entity)
        return entity

    def _keep(self, document_id: str, entity: Entity) -> None:
        size = _size(entity)
        previous = self._cache.pop(document_id, None)
        if previous is not None:
            self._held -= previous[1]
        if size > self._capacity:
            return
        self._cache[document_id] = (entity, size)
        self._held += size
        while self._held > self._capacity:
            oldest, (_, freed) = self._cache.popitem(last=False)
            self._held -= freed
            self._resolved.pop(oldest, None)

    def forget(self, document_id: str | None) -> None:
        """Somebody else changed this document; None: any of them."""
        if document_id is not None:
            self._drop(document_id)
            return
        self._writes += 1
        self._cache.clear()
        self._resolved.clear()
        self._held = 0

    def _drop(self, document_id: str) -> None:
        """Forget an entity and every action whose resolution contains it."""
        self._writes += 1
        cached = self._cache.pop(document_id, None)
        if cached is not None:
            self._held -= cached[1]
        self._resolved.pop(document_id, None)
        if document_id.count("/") == 1:
            prefix = document_id + "/"
            for inside in [key for key in self._resolved if key.startswith(prefix)]:
                del self._resolved[inside]


def read_document(document: Document) -> Entity:
    """The entity behind a document. `InternalError` if it cannot be decoded."""
    try:
        return _READERS[document.collection](document)
    except (msgspec.ValidationError, UnicodeDecodeError, KeyError):
        raise InternalError(CORRUPTED) from None


def _document(entity: Entity) -> Document:
    match entity:
        case Action():
            return action_model.to_document(entity)
        case Package():
            return package_model.to_document(entity)
        case Trigger():
            return trigger_model.to_document(entity)
        case Rule():
            return rule_model.to_document(entity)


def _size(entity: Entity) -> int:
    if isinstance(entity, Action) and entity.exec.code is not None:
        return _OVERHEAD + len(entity.exec.code)
    return _OVERHEAD


__all__ = [
    "CONCURRENT",
    "CORRUPTED",
    "WRONG_COLLECTION",
    "Catalog",
    "Entity",
    "ResolvedAction",
    "read_document",
]
