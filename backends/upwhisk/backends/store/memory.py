"""The store of the tests: everything in dictionaries, the same promises but for durability."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from upwhisk.backends.store.folder import write_private
from upwhisk.backends.store.journal import checked, filter_name
from upwhisk.backends.store.memory_entities import MemoryEntities, MemorySubjects
from upwhisk.common.clock import Clock, SystemClock
from upwhisk.common.errors import DataFolderError, StoreUnavailable
from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import Activation, encode_record
from upwhisk.common.model.identity import NamespaceLimits, Subject
from upwhisk.common.settings import RetentionSettings, StoreSettings
from upwhisk.common.spi.store import (
    ActivationQuery,
    ActivationStore,
    ArtifactStore,
    Document,
    Inventory,
    Journal,
    JournalEntry,
    Page,
    StoreStatistics,
    Watcher,
)

T = TypeVar("T")
_MIB = 1024 * 1024
_PAGE_RECORDS = 10


class MemoryRecord(msgspec.Struct, frozen=True):
    namespace: str
    name: str
    start: int
    body: bytes


class MemoryActivations(ActivationStore):
    def __init__(self, retention: RetentionSettings, clock: Clock) -> None:
        self.records: dict[ActivationId, MemoryRecord] = {}
        self.record_bytes = 0
        self._retention = retention
        self._clock = clock

    def add(self, record: Activation) -> None:
        kept = MemoryRecord(record.namespace, filter_name(record), record.start, encode_record(record))
        self.records[record.activation_id] = kept
        self.record_bytes += len(kept.body)
        while self.records and self._is_beyond(next(iter(self.records.values()))):
            oldest = next(iter(self.records))
            self.record_bytes -= len(self.records.pop(oldest).body)

    async def put(self, records: Sequence[Activation]) -> int:
        new = [record for record in records if record.activation_id not in self.records]
        for record in new:
            self.add(record)
        return len(new)

    async def get(self, namespace: str, id: ActivationId) -> bytes | None:
        found = self.records.get(id)
        return None if found is None or found.namespace != namespace else found.body

    async def list(self, query: ActivationQuery) -> list[bytes]:
        end = query.skip + query.limit if query.limit else None
        return [record.body for record in self._matching(query)[query.skip : end]]

    async def count(self, query: ActivationQuery) -> int:
        return max(0, len(self._matching(query)) - query.skip)

    def _matching(self, query: ActivationQuery) -> Sequence[MemoryRecord]:
        found = [
            record
            for record in self.records.values()
            if record.namespace == query.namespace
            and (query.name is None or record.name == query.name)
            and (query.since is None or record.start >= query.since)
            and (query.upto is None or record.start <= query.upto)
        ]
        return sorted(found, key=lambda record: (record.start, record.name), reverse=True)

    def _is_beyond(self, oldest: MemoryRecord) -> bool:
        bounds = self._retention
        return bool(
            (bounds.max_records and len(self.records) > bounds.max_records)
            or (bounds.max_mb and self.record_bytes > bounds.max_mb * _MIB)
            or (bounds.max_age_s and oldest.start < self._clock.now_ms() - bounds.max_age_s * 1000)
        )


class MemoryInventory(Inventory):
    """Everything is one page, but for records: small ones, so that whoever pages is tested."""

    def __init__(self, entities: MemoryEntities, subjects: MemorySubjects, activations: MemoryActivations) -> None:
        self._entities = entities
        self._subjects = subjects
        self._activations = activations

    async def entities(self, after: str = "") -> Page[str]:
        return Page(sorted(self._entities.documents), None)

    async def subjects(self, after: str = "") -> Page[str]:
        return Page(sorted(self._subjects.subjects), None)

    async def limits(self, after: str = "") -> Page[str]:
        return Page(sorted(self._subjects.namespace_limits), None)

    async def records(self, after: str = "", *, since: int | None = None) -> Page[bytes]:
        bodies = [each.body for each in self._activations.records.values() if since is None or each.start >= since]
        begin = int(after or 0)
        end = begin + _PAGE_RECORDS
        return Page(bodies[begin:end], str(end) if end < len(bodies) else None)

    async def stored(self, keys: Sequence[tuple[str, ActivationId]]) -> list[bytes | None]:
        return [await self._activations.get(*key) for key in keys]


class MemoryJournal(Journal):
    def __init__(self, activations: MemoryActivations) -> None:
        self.entries: dict[ActivationId, JournalEntry] = {}
        self.is_open = True
        self._activations = activations

    def accept(self, messages: Sequence[ActivationMessage], records: Sequence[Activation] = ()) -> Awaitable[None]:
        return self._perform(lambda: self._accept(messages, records))

    def begin(self, id: ActivationId, attempt: int) -> Awaitable[None]:
        return self._perform(lambda: self._change(id, attempt=attempt))

    def note(self, id: ActivationId, progress: bytes) -> Awaitable[None]:
        return self._perform(lambda: self._change(id, progress=progress))

    def settle(self, record: Activation) -> Awaitable[bool]:
        return self._perform(lambda: self._settle(record))

    def discard(self, id: ActivationId) -> Awaitable[None]:
        return self._perform(lambda: self._discard(id))

    async def pending(self) -> list[JournalEntry]:
        return list(self.entries.values())

    def _perform(self, work: Callable[[], T]) -> Awaitable[T]:
        """At once, so the order is that of the calls."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self.is_open:
            future.set_result(work())
        else:
            future.set_exception(StoreUnavailable("The artifact store is not available: it is closed."))
        return future

    def _accept(self, messages: Sequence[ActivationMessage], records: Sequence[Activation]) -> None:
        for message in messages:
            checked(message.activation_id)
        for message in messages:
            if not self._is_known(message.activation_id):
                self.entries[message.activation_id] = JournalEntry(message=message)
        for record in records:
            if not self._is_known(record.activation_id):
                self._activations.add(record)

    def _change(self, id: ActivationId, **changes: Any) -> None:
        if id in self.entries:
            self.entries[id] = msgspec.structs.replace(self.entries[id], **changes)

    def _settle(self, record: Activation) -> bool:
        if checked(record.activation_id) in self._activations.records:
            return False
        self.entries.pop(record.activation_id, None)
        self._activations.add(record)
        return True

    def _discard(self, id: ActivationId) -> None:
        self.entries.pop(id, None)

    def _is_known(self, id: ActivationId) -> bool:
        return id in self.entries or id in self._activations.records


class MemoryBackup(msgspec.Struct):
    """The one file that a backup of this store is, as MessagePack."""

    documents: list[Document]
    subjects: list[Subject]
    limits: dict[str, NamespaceLimits]
    records: dict[ActivationId, MemoryRecord]
    pending: list[JournalEntry]


class MemoryStore(ArtifactStore):
    """Takes what `SQLiteStore` takes; the folder is not touched."""

    def __init__(
        self,
        folder: Path | None = None,
        store: StoreSettings = StoreSettings(),  # noqa: B008 - immutable
        retention: RetentionSettings = RetentionSettings(),  # noqa: B008 - immutable
        clock: Clock | None = None,
    ) -> None:
        self.entities = self._entities = MemoryEntities()
        self.subjects = self._subjects = MemorySubjects()
        self.activations = self._activations = MemoryActivations(retention, clock or SystemClock())
        self.inventory = MemoryInventory(self._entities, self._subjects, self._activations)
        self.journal = self._journal = MemoryJournal(self._activations)

    async def start(self) -> None:
        """Nothing to wait for."""

    async def aclose(self) -> None:
        self._journal.is_open = False

    def accepts_work(self) -> str | None:
        return None if self._journal.is_open else "the store is closed"

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        return lambda: None

    async def statistics(self) -> StoreStatistics:
        return StoreStatistics(
            records=len(self._activations.records),
            record_bytes=self._activations.record_bytes,
            pending=len(self._journal.entries),
            file_bytes=0,
            free_bytes=0,
        )

    async def backup(self, target: Path) -> None:
        content = MemoryBackup(
            documents=list(self._entities.documents.values()),
            subjects=list(self._subjects.subjects.values()),
            limits=self._subjects.namespace_limits,
            records=self._activations.records,
            pending=list(self._journal.entries.values()),
        )
        await asyncio.to_thread(write_private, target, msgspec.msgpack.encode(content))

    def load(self, source: Path) -> None:
        """Take over what a backup holds; `DataFolderError` if it is none."""
        try:
            content = msgspec.msgpack.decode(source.read_bytes(), type=MemoryBackup)
        except (OSError, msgspec.DecodeError) as error:
            raise DataFolderError(f"'{source}' is no backup of a memory store ({error})") from None
        self._entities.documents = {document.id: document for document in content.documents}
        self._subjects.subjects = {subject.subject: subject for subject in content.subjects}
        self._subjects.namespace_limits = content.limits
        self._activations.records = content.records
        self._activations.record_bytes = sum(len(record.body) for record in content.records.values())
        self._journal.entries = {entry.message.activation_id: entry for entry in content.pending}
