"""What a controller of a fleet works with: the documents, its logs as journal, and records that are not stored yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from upwhisk.common.ids import ActivationId
from upwhisk.common.model.activation import Activation, encode_record
from upwhisk.common.spi.bus import MessageBus
from upwhisk.common.spi.store import (
    ActivationQuery,
    ActivationStore,
    ArtifactStore,
    DocumentStore,
    StoreStatistics,
    Watcher,
)
from upwhisk.controller.delivery.hosting import Hosting
from upwhisk.controller.delivery.journal import LogJournal
from upwhisk.controller.delivery.recorder import Recorder

_BARRIER_S = 2.0


class RecentActivations(ActivationStore):
    """A record can be read as soon as it is in the log; lists wait until what was in the log is stored."""

    def __init__(self, stored: ActivationStore, recorder: Recorder) -> None:
        self._stored = stored
        self._recorder = recorder

    async def put(self, records: Sequence[Activation]) -> int:
        return await self._stored.put(records)

    async def get(self, namespace: str, id: ActivationId) -> bytes | None:
        recent = self._recorder.find(id)
        if recent is not None:
            return encode_record(recent) if recent.namespace == namespace else None
        return await self._stored.get(namespace, id)

    async def list(self, query: ActivationQuery) -> list[bytes]:
        await self._recorder.barrier(_BARRIER_S)
        return await self._stored.list(query)

    async def count(self, query: ActivationQuery) -> int:
        await self._recorder.barrier(_BARRIER_S)
        return await self._stored.count(query)


class DeliveredStore(ArtifactStore):
    """Started and closed by whoever made the parts; new work is refused while it could not be kept."""

    def __init__(self, documents: DocumentStore, bus: MessageBus, hosting: Hosting, recorder: Recorder) -> None:
        self._documents = documents
        self._bus = bus
        self._hosting = hosting
        self._recorder = recorder
        self.entities = documents.entities
        self.subjects = documents.subjects
        self.inventory = documents.inventory
        self.activations = RecentActivations(documents.activations, recorder)
        self.journal = self.log_journal = LogJournal(hosting)

    async def start(self) -> None:
        """Nothing of its own."""

    async def aclose(self) -> None:
        """Nothing of its own."""

    def accepts_work(self) -> str | None:
        """The document store may be away: actions in the cache go on, their records wait in the log."""
        return self._bus.problem() or self._hosting.problem() or self._recorder.problem()

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        return self._documents.watch(watcher)

    async def statistics(self) -> StoreStatistics:
        return await self._documents.statistics()

    async def backup(self, target: Path) -> None:
        await self._documents.backup(target)
