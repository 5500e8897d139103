"""Contract of the artifact store: entities, activation records, subjects, and the journal of accepted work.

Embedded: SQLite holds all of it. In a fleet CouchDB holds the documents (`DocumentStore`), the bus the journal. All ids are
document ids as OpenWhisk has them: `ns/name`, `ns/pkg/name`, `ns/activationId`, `subject`, `ns/limits`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import msgspec

from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.identity import NamespaceLimits, Subject
from upwhisk.common.resource import Resource

T = TypeVar("T")
Collection = Literal["actions", "packages", "triggers", "rules"]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One stored entity.

    `path` is the namespace with the package, if there is one: `ns` or `ns/pkg`. `updated`: ms since the epoch.
    `body`: the entity as a mapping of JSON values. `attachment`: large code, kept outside the body; on reads it is
    None unless asked for. `revision` is None for a document that is to be created.
    """

    id: str
    collection: Collection
    namespace: str
    path: str
    name: str
    updated: int
    body: dict[str, Any]
    revision: str | None = None
    has_attachment: bool = False
    attachment: bytes | None = None


class EntityQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Entities of one collection in `namespace`, newest `updated` first.

    `path` (`ns/pkg`) narrows to one package. `public_only`: only packages whose body says `publish: true` and that
    are no bindings.
    """

    namespace: str
    collection: Collection
    path: str | None = None
    public_only: bool = False
    skip: int = 0
    limit: int = 0
    """0 means all."""


class ActivationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Records of `namespace`, newest `start` first; `since` and `upto` inclusive, in ms.

    `name`: `action` matches records of actions in the default package and of triggers; `package/action` matches
    records whose `path` annotation names that package (or whose `binding` annotation does, if there is one).
    """

    namespace: str
    name: str | None = None
    since: int | None = None
    upto: int | None = None
    skip: int = 0
    limit: int = 0


class EntityStore(ABC):
    @abstractmethod
    async def get(self, id: str, *, attachment: bool = False) -> Document | None: ...

    @abstractmethod
    async def put(self, document: Document) -> str:
        """Create (`revision` None) or replace (`revision` as read) and return the new revision.

        * `RevisionConflict` when the stored revision is another, or the document exists and `revision` is None.
        * Durable when it returns. Revisions of one id never repeat, not even after a delete.
        * A replace whose `has_attachment` is true and `attachment` None keeps the stored attachment.
        """

    @abstractmethod
    async def delete(self, id: str, revision: str) -> None:
        """`RevisionConflict` for a stale revision, `DocumentMissing` if it is not there."""

    @abstractmethod
    async def list(self, query: EntityQuery) -> list[Document]: ...

    @abstractmethod
    async def count(self, query: EntityQuery) -> int:
        """How many entities remain after `query.skip`; `limit` is not considered."""


class ActivationStore(ABC):
    @abstractmethod
    async def put(self, records: Sequence[Activation]) -> int:
        """Store final records, durably and in few requests; an id that has a record keeps the one it has.

        Returns how many were new. What fails for a reason of the store raises `StoreUnavailable`; trying all again is
        always right. A record that can never be stored (too large) is logged and left out.
        """

    @abstractmethod
    async def get(self, namespace: str, id: ActivationId) -> bytes | None:
        """The record as JSON, or None."""

    @abstractmethod
    async def list(self, query: ActivationQuery) -> list[bytes]: ...

    @abstractmethod
    async def count(self, query: ActivationQuery) -> int:
        """How many records remain after `query.skip`; `limit` is not considered."""


class SubjectStore(ABC):
    """Subjects, their keys, and the limits of namespaces. Keys are not readable in the files of the store."""

    @abstractmethod
    async def get(self, subject: str) -> Subject | None: ...

    @abstractmethod
    async def put(self, subject: Subject) -> None:
        """Create or replace. A uuid that belongs to another subject: `RevisionConflict`."""

    @abstractmethod
    async def delete(self, subject: str) -> None:
        """`DocumentMissing` if it is not there."""

    @abstractmethod
    async def by_uuid(self, uuid: str) -> Subject | None:
        """The subject that owns this uuid, blocked or not."""

    @abstractmethod
    async def by_namespace(self, namespace: str) -> list[Subject]:
        """Every subject with a key for this namespace, blocked or not, ordered by subject."""

    @abstractmethod
    async def limits(self, namespace: str) -> NamespaceLimits | None: ...

    @abstractmethod
    async def put_limits(self, namespace: str, limits: NamespaceLimits) -> None: ...

    @abstractmethod
    async def delete_limits(self, namespace: str) -> None:
        """`DocumentMissing` if none are set."""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """`next`: where the next page begins, None after the last one. A page may be empty and not the last."""

    items: list[T]
    next: str | None


class Inventory(ABC):
    """All that a store holds, whatever its namespaces, in pages that are bounded in number and bytes.

    `after` is `next` of the page before, empty at first. What is there while all pages are read is told once; what comes
    or goes meanwhile may be.
    """

    @abstractmethod
    async def entities(self, after: str = "") -> Page[str]:
        """Ids, ascending."""

    @abstractmethod
    async def subjects(self, after: str = "") -> Page[str]:
        """Names, ascending."""

    @abstractmethod
    async def limits(self, after: str = "") -> Page[str]:
        """Namespaces that have limits, ascending."""

    @abstractmethod
    async def records(self, after: str = "", *, since: int | None = None) -> Page[bytes]:
        """Records as JSON, oldest first: by their writing or by their `start`, as the store keeps them. `since`: only
        those that started then (ms) or later."""

    @abstractmethod
    async def stored(self, keys: Sequence[tuple[str, ActivationId]]) -> list[bytes | None]:
        """For each namespace and id of one page of records, the record as JSON, or None."""


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Accepted work without a final record. `attempt` is 0 until it was started; `progress` is what `note` kept."""

    message: ActivationMessage
    attempt: int = 0
    progress: bytes | None = None


class Journal(ABC):
    """The durable memory of accepted work.

    What was accepted stays until it is settled. Methods return when the change is as durable as the store's
    setting promises (`process`: survives the death of this process; `power`: survives a power cut). Calls made in
    one turn of the event loop are committed together, in the order they were made; each returns an awaitable, so
    the order is that of the calls, not of the awaits.
    """

    @abstractmethod
    def accept(
        self, messages: Sequence[ActivationMessage], records: Sequence[Activation] = ()
    ) -> Awaitable[None]:
        """Keep `messages` until each is settled and store `records`, all or nothing.

        A message whose `attempt` is above 0 in `started` terms is marked by `begin`, not here. An id that is
        journalled or settled already is left as it is.
        """

    @abstractmethod
    def begin(self, id: ActivationId, attempt: int) -> Awaitable[None]:
        """Mark attempt number `attempt` (1 is the first) as started; unknown ids are ignored."""

    @abstractmethod
    def note(self, id: ActivationId, progress: bytes) -> Awaitable[None]:
        """Replace the progress of a composition; unknown ids are ignored."""

    @abstractmethod
    def settle(self, record: Activation) -> Awaitable[bool]:
        """Store the final record and forget the journalled message, in one.

        False, and nothing is stored, if this id has a record already: one id, one record. Records of ids that
        were never journalled are stored all the same.
        """

    @abstractmethod
    def discard(self, id: ActivationId) -> Awaitable[None]:
        """Forget a journalled message without a record: its namespace stores none."""

    def end(self, message: ActivationMessage, record: Activation) -> Awaitable[bool]:
        """Settle work, or discard it if its namespace stores no records; whether that counted: it may have ended meanwhile."""
        return self.settle(record) if message.stored else _counted(self.discard(message.activation_id))

    @abstractmethod
    async def pending(self) -> list[JournalEntry]:
        """Everything accepted and not settled, oldest acceptance first."""

    def holds(self, message: ActivationMessage) -> bool:
        """Whether what was accepted is ours to go on with. In a fleet another controller may have taken it over since."""
        return True


async def _counted(discarding: Awaitable[None]) -> bool:
    await discarding
    return True


class StoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """`pending`: journalled and not settled. `free_bytes`: free space of the disk below the store."""

    records: int
    record_bytes: int
    pending: int
    file_bytes: int
    free_bytes: int


Watcher = Callable[[str | None], None]
"""Told the id of a document that somebody else changed; None: any may have changed (after an outage)."""


class DocumentStore(Resource):
    """Entities, records and subjects behind one connection."""

    entities: EntityStore
    activations: ActivationStore
    subjects: SubjectStore
    inventory: Inventory

    @abstractmethod
    def accepts_work(self) -> str | None:
        """None, or the reason why nothing new may be accepted (out of reach, below the floor of free space). Cheap: called for
        every request. Settling goes on regardless."""

    @abstractmethod
    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` after writes of entities, subjects and limits that other processes made (own ones may be
        told too); the returned function ends it. A store of one process never calls."""

    @abstractmethod
    async def statistics(self) -> StoreStatistics: ...

    @abstractmethod
    async def backup(self, target: Path) -> None:
        """Write a consistent copy that `restore` of the same kind of store reads, while work goes on."""


class ArtifactStore(DocumentStore):
    """A document store with the journal of accepted work: what a controller works with."""

    journal: Journal
