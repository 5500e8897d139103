"""The store of a fleet: CouchDB holds entities, records and subjects; the journal is the bus's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import structlog

from upwhisk.backends.store import couchdb_accounts, couchdb_marks, couchdb_prepare, couchdb_restore
from upwhisk.backends.store.couchdb_activations import CouchActivations
from upwhisk.backends.store.couchdb_backup import write_backup
from upwhisk.backends.store.couchdb_body import body_of
from upwhisk.backends.store.couchdb_changes import ChangeFeed
from upwhisk.backends.store.couchdb_client import Call, CouchClient
from upwhisk.backends.store.couchdb_entities import CouchEntities
from upwhisk.backends.store.couchdb_inventory import CouchInventory
from upwhisk.backends.store.couchdb_reach import Lane, Reach
from upwhisk.backends.store.couchdb_retention import CouchRetention
from upwhisk.backends.store.couchdb_subjects import CouchSubjects, NoSubjects
from upwhisk.backends.store.database import unavailable
from upwhisk.backends.store.sealing import Sealer
from upwhisk.common.clock import Clock, SystemClock
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.settings import CouchDBSettings, RetentionSettings
from upwhisk.common.spi.roles import Role
from upwhisk.common.spi.store import DocumentStore, StoreStatistics, SubjectStore, Watcher
from upwhisk.common.tasks import TaskOwner

log = structlog.get_logger(__name__)
T = TypeVar("T")


class CouchStore(DocumentStore):
    """`subjects` False: for processes that need no logins; neither their database nor the fleet's key is touched.

    Retention runs where its owner calls `retention.sweep()`: in one process of the fleet at a time.
    """

    def __init__(
        self,
        settings: CouchDBSettings,
        retention: RetentionSettings = RetentionSettings(),  # noqa: B008 - immutable
        clock: Clock | None = None,
        *,
        subjects: bool = True,
    ) -> None:
        self._clock = clock or SystemClock()
        self._reach = Reach(self._clock)
        self._client = CouchClient(settings, self._reach, self._clock)
        self._databases = ("whisks", "activations", "subjects") if subjects else ("whisks", "activations")
        self._watchers: list[Watcher] = []
        self._tasks = TaskOwner("store")
        self._state = "not started"
        self.entities = CouchEntities(self._client)
        self.activations = CouchActivations(self._client)
        self.inventory = CouchInventory(self._client, self.activations)
        self.subjects = NoSubjects()
        self.retention = CouchRetention(self._client, retention, self._clock)

    restore_documents = staticmethod(couchdb_restore.restore)

    @staticmethod
    async def prepare(settings: CouchDBSettings) -> list[str]:
        """Make the databases, their views and the fleet's key where they are missing; what was made. Any number of times.
        `StartupError` names what to mend."""
        return await _as_administrator(settings, couchdb_prepare.prepare)

    @staticmethod
    async def grant(settings: CouchDBSettings, account: CouchDBSettings, role: Role) -> str:
        """Have the user of `account` with the rights of its role; what was done. Repeatable. After `prepare`."""
        return await _as_administrator(settings, lambda client: couchdb_accounts.grant(client, account, role))

    @staticmethod
    async def purge_marks(settings: CouchDBSettings, tell: Callable[[int], None]) -> int:
        """Remove what is kept of records that retention deleted; how many. `StartupError`, `StoreUnavailable`."""
        return await _as_administrator(settings, lambda client: couchdb_marks.purge(client, tell))

    async def start(self) -> None:
        """`StartupError` names the setting to mend, or says `upwhisk init`."""
        try:
            await self._client.open()
            await couchdb_prepare.greet(self._client)
            await couchdb_prepare.check(self._client, self._databases)
            self.subjects = await self._subjects()
            await self._follow_changes()
        except StoreUnavailable as error:
            await self.aclose()
            raise couchdb_prepare.explained(self._client.settings, error) from None
        except BaseException:
            await self.aclose()
            raise
        self._state = ""

    async def aclose(self) -> None:
        self._state = "closed"
        await self._tasks.aclose(grace_s=0)
        await self._client.aclose()

    def accepts_work(self) -> str | None:
        return f"the store is {self._state}" if self._state else self._reach.reason

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Own writes are told too. Within a second, as long as CouchDB is there."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    async def statistics(self) -> StoreStatistics:
        """`pending` and `free_bytes` are 0: the journal is elsewhere, and CouchDB does not tell its disk."""
        totals, file_bytes = await asyncio.gather(self.retention.totals(), self.retention.file_bytes())
        return StoreStatistics(
            records=totals.count, record_bytes=totals.sum, pending=0, file_bytes=file_bytes, free_bytes=0
        )

    async def backup(self, target: Path) -> None:
        """One file of mode 0600, without the fleet's key. `StoreUnavailable` when it cannot be written."""
        if self._state:
            raise unavailable(f"it is {self._state}")
        await write_backup(self._client, target)

    async def _subjects(self) -> SubjectStore:
        if "subjects" not in self._databases:
            return NoSubjects()
        return CouchSubjects(self._client, Sealer(await couchdb_prepare.fleet_key(self._client)))

    async def _follow_changes(self) -> None:
        feeds = [ChangeFeed(self._client, name, self._tell, self._clock) for name in self._databases if name != "activations"]
        for feed in feeds:
            await feed.open()
        for feed in feeds:
            self._tasks.start(feed.run(), "store-changes")
        self._tasks.start(self._reach.probe(self._ask), "store-probe")
        self._tasks.start(self._reach.listen(self._ask), "store-listener")

    def _tell(self, id: str | None) -> None:
        for watcher in tuple(self._watchers):
            try:
                watcher(id)
            except Exception as error:  # the fault of one must not keep it from the others
                log.error("watcher failed", action="store.watcher_failed", exc_info=error)

    async def _ask(self, lane: Lane) -> None:
        """The cheapest read and write that there are."""
        path = self._client.database("activations")
        if lane == "read":
            await self._client.send(Call(method="GET", path=path, apart=True))
        else:
            probe = body_of({"probe": True})  # a document of its own in each database copy; it never conflicts
            await self._client.send(Call(method="PUT", path=f"{path}/_local/upwhisk-probe", body=probe, lane="write", apart=True))


async def _as_administrator(settings: CouchDBSettings, work: Callable[[CouchClient], Awaitable[T]]) -> T:
    clock = SystemClock()
    client = CouchClient(settings, Reach(clock), clock)
    try:
        await client.open()
        return await work(client)
    except StoreUnavailable as error:
        raise couchdb_prepare.explained(settings, error) from None
    finally:
        await client.aclose()
