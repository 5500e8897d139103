"""Retention in CouchDB: records beyond age, count or bytes go, oldest first; then the files are compacted."""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from upwhisk.backends.store.couchdb_answers import Answer, reason_of
from upwhisk.backends.store.couchdb_body import body_of
from upwhisk.backends.store.couchdb_client import LONG_S, Call, CouchClient
from upwhisk.backends.store.couchdb_pages import Pages, read_json
from upwhisk.backends.store.couchdb_views import DESIGNS, design_id
from upwhisk.backends.store.database import unavailable
from upwhisk.backends.store.retention import Oldest, last_to_go
from upwhisk.common.clock import Clock
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.settings import RetentionSettings

log = structlog.get_logger(__name__)

SLICE = 100
"""Records removed in one request: as many as CouchDB purges at a time."""
COMPACT_ABOVE = 16 * 1024 * 1024
"""Bytes that a file may hold in vain whatever its size; beyond, it is compacted when half of it is in vain."""


class Totals(msgspec.Struct):
    """Of all records: how many, and the bytes of their JSON."""

    count: int = 0
    sum: int = 0


class _Row(msgspec.Struct):
    id: str
    key: int
    value: int


class _Rows(msgspec.Struct):
    rows: list[_Row]


class _Revision(msgspec.Struct):
    rev: str
    deleted: bool = False


class _Found(msgspec.Struct):
    id: str | None = None
    value: _Revision | None = None


class _AllDocs(msgspec.Struct):
    rows: list[_Found]


class _Purged(msgspec.Struct):
    purged: dict[str, list[str]] = {}


class Sizes(msgspec.Struct, frozen=True):
    """Bytes of a file, and of what in it is alive."""

    file: int = 0
    active: int = 0

    @property
    def is_wasteful(self) -> bool:
        return self.file - self.active > max(COMPACT_ABOVE, self.file // 2)


class _Information(msgspec.Struct):
    sizes: Sizes = Sizes()
    disk_size: int = 0
    compact_running: bool = False


class CouchRetention:
    """`sweep` is for one process of the fleet at a time; two would only do the same work twice."""

    def __init__(self, client: CouchClient, settings: RetentionSettings, clock: Clock) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._database = client.database("activations")
        self._pages = Pages(client, "activations")
        self._purges = True
        self._told = False

    async def totals(self) -> Totals:
        found = await self._pages.reduced("oldest", {"reduce": "true"})
        return Totals() if found is None else msgspec.convert(found, Totals, strict=False)

    async def sweep(self) -> int:
        """Remove what has to go, say how many records that were, and compact what has become hollow.
        `StoreUnavailable`: some may have gone; the next sweep goes on."""
        if not self._settings.is_bounded:
            return 0  # looking would cost the server a pass over all that is new
        self._purges = True
        removed, first = 0, ""
        while (rows := await self._beyond()) and rows[0].id != first:
            first = rows[0].id
            await self._remove([row.id for row in rows])
            removed += len(rows)
        if rows:
            raise unavailable(f"'{first}' was removed and is still there")
        if removed:
            log.info("records removed", action="store.retention", records=removed)
            await self.compact()
        return removed

    async def compact(self) -> None:
        """Start the compaction of the files of `activations` that need it; CouchDB does it beside its other work."""
        for path in ("", f"/{design_id('activations')}"):
            info = await self._information(path)
            if info.sizes.is_wasteful and not info.compact_running:
                target = path.rpartition("/")[2]
                await self._command(f"/_compact/{target}" if target else "/_compact")
        await self._command("/_view_cleanup")

    async def file_bytes(self) -> int:
        """The size of all three databases and their views, as far as CouchDB tells it."""
        total = 0
        for name in DESIGNS:
            for path in ("", f"/{design_id(name)}"):
                info = await self._information(path, name)
                total += info.sizes.file or info.disk_size
        return total

    async def _beyond(self) -> list[_Row]:
        """The oldest records, as far as they have to go. They are read before the totals: if somebody else removes some
        meanwhile, fewer go than may, never more."""
        query = {"reduce": "false", "limit": str(SLICE)}
        rows = (await self._pages.view("oldest", query, _Rows)).rows
        totals = await self.totals() if rows else Totals()
        last = last_to_go(
            [Oldest(number, row.key, row.value) for number, row in enumerate(rows)],
            records=totals.count,
            record_bytes=totals.sum,
            now_ms=self._clock.now_ms(),
            settings=self._settings,
        )
        return [] if last is None else rows[: last + 1]

    async def _remove(self, ids: list[str]) -> None:
        call = Call(method="POST", path=f"{self._database}/_all_docs", body=body_of({"keys": ids}), timeout_s=LONG_S)
        found = read_json(await self._client.send(call), _AllDocs).rows
        revisions = {row.id: row.value.rev for row in found if row.id and row.value and not row.value.deleted}
        for purged in await self._purged(revisions) if self._purges else ():
            del revisions[purged]
        if not revisions:
            return
        rows = [{"_id": key, "_rev": revision, "_deleted": True} for key, revision in revisions.items()]
        answer = await self._post("/_bulk_docs", {"docs": rows})
        for outcome in read_json(answer, list[dict[str, Any]]):
            if outcome.get("error", "conflict") != "conflict":
                raise unavailable(f"CouchDB does not remove a record: {outcome['error']}")

    async def _purged(self, revisions: dict[str, str]) -> list[str]:
        """Purge, and say which. A purge leaves nothing behind, a delete a mark for ever; but not every user may, and not
        every server can: then the rest of this sweep deletes."""
        asked = {key: [revision] for key, revision in revisions.items()}
        try:
            answer = await self._post("/_purge", asked, optional=True)
            reason = reason_of(answer)
        except StoreUnavailable as error:
            reason = str(error)
        else:
            if answer.is_ok:
                purged = answer.read(_Purged).purged
                return [key for key in revisions if purged.get(key)]
        self._purges = False
        if not self._told:
            log.warning("records are deleted, not purged: marks stay", action="store.no_purge", reason=reason)
            self._told = True
        return []

    async def _post(self, path: str, body: dict[str, Any] | None, *, optional: bool = False) -> Answer:
        call = Call(
            method="POST",
            path=f"{self._database}{path}",
            body=None if body is None else body_of(body),
            lane="write",
            timeout_s=LONG_S,
            optional=optional,
        )
        return await self._client.send(call)

    async def _information(self, path: str, database: str = "activations") -> _Information:
        suffix = f"{path}/_info" if path else ""
        answer = await self._client.send(Call(method="GET", path=f"{self._client.database(database)}{suffix}"))
        found = read_json(answer, dict[str, Any])
        inner = found.get("view_index", found) if path else found
        return msgspec.convert(inner, _Information) if isinstance(inner, dict) else _Information()

    async def _command(self, path: str) -> None:
        """Needs the rights of an administrator of the database; without them CouchDB's own compaction has to do."""
        try:
            answer = await self._post(path, None, optional=True)  # CouchDB reads no body here, and would hang up after one
        except StoreUnavailable as error:
            log.warning("no compaction", action="store.no_compaction", error=str(error))
            return
        if not answer.is_ok:
            log.warning("no compaction", action="store.no_compaction", error=reason_of(answer))
