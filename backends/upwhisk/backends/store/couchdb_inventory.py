"""What the three databases hold, page by page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from upwhisk.backends.store import couchdb_prepare
from upwhisk.backends.store.couchdb_activations import CouchActivations
from upwhisk.backends.store.couchdb_body import body_of
from upwhisk.backends.store.couchdb_client import LONG_S, Call, CouchClient
from upwhisk.backends.store.couchdb_json import document_key, id_of
from upwhisk.backends.store.couchdb_pages import NULL, Pages, Row, read_json
from upwhisk.backends.store.couchdb_records import key_of
from upwhisk.backends.store.couchdb_views import bounded
from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.store import Inventory, Page

PAGE_NAMES = 500
PAGE_RECORDS = 100
PAGE_BYTES = 4 * 1024 * 1024
"""A page of records ends with the one that goes beyond this."""
_LIMITS = "/limits"


class _Name(msgspec.Struct):
    """Of a row of `_all_docs`; `doc` has what tells subjects from limits."""

    id: str
    doc: dict[str, Any] | None = None


class _Names(msgspec.Struct):
    rows: list[_Name]


class _Rows(msgspec.Struct):
    rows: list[Row]


class _Found(msgspec.Struct):
    """Of a row that was asked for by its key: without a document when there is none, or it was deleted."""

    doc: msgspec.Raw = NULL


class _FoundRows(msgspec.Struct):
    rows: list[_Found]


class CouchInventory(Inventory):
    """Records come by their `start`, through the view that retention uses."""

    def __init__(self, client: CouchClient, activations: CouchActivations) -> None:
        self._client = client
        self._activations = activations
        self._pages = Pages(client, "activations")

    async def entities(self, after: str = "") -> Page[str]:
        return await self._names("whisks", after, lambda name: id_of(name.id))

    async def subjects(self, after: str = "") -> Page[str]:
        return await self._names("subjects", after, _subject)

    async def limits(self, after: str = "") -> Page[str]:
        return await self._names("subjects", after, _limited)

    async def records(self, after: str = "", *, since: int | None = None) -> Page[bytes]:
        """A page begins at a `start`, behind so many records of that same `start`."""
        start, seen = _place(after, since)
        query = {"reduce": "false", "include_docs": "true", "limit": str(PAGE_RECORDS), "skip": str(seen)}
        query |= {} if start is None else {"startkey": str(start)}
        rows = (await self._pages.view("oldest", query, _Rows)).rows
        records: list[bytes] = []
        size = taken = 0
        for row in rows:
            record = None if row.doc == NULL else await self._activations.read(row.doc)
            records += [] if record is None else [record]
            size += len(record or b"")
            taken += 1
            if size > PAGE_BYTES:
                break
        is_last = taken == len(rows) < PAGE_RECORDS
        return Page(records, None if is_last else _behind(rows[:taken], start, seen))

    async def stored(self, keys: Sequence[tuple[str, ActivationId]]) -> list[bytes | None]:
        body = body_of({"keys": [key_of(*key) for key in keys]})
        path, query = f"{self._client.database('activations')}/_all_docs", {"include_docs": "true"}
        answer = await self._client.send(Call(method="POST", path=path, query=query, body=body, timeout_s=LONG_S))
        rows = read_json(answer, _FoundRows).rows
        return [None if row.doc == NULL else await self._activations.read(row.doc) for row in rows]

    async def _names(self, database: str, after: str, name_of: Callable[[_Name], str | None]) -> Page[str]:
        """A page begins with the last document of the one before, which may have gone meanwhile. CouchDB orders ids by their bytes."""
        query = {"limit": str(PAGE_NAMES + 1)}
        query |= {"startkey": msgspec.json.encode(after).decode()} if after else {}
        query |= {"include_docs": "true"} if database == "subjects" else {}
        path = f"{self._client.database(database)}/_all_docs"
        answer = await self._client.send(Call(method="GET", path=path, query=query, timeout_s=LONG_S))
        rows = read_json(answer, _Names).rows
        found = [row for row in rows if row.id != after and not couchdb_prepare.is_ours(row.id)]
        names = [name for row in found if (name := name_of(row)) is not None]
        return Page(names, rows[-1].id if len(rows) > PAGE_NAMES else None)


def _subject(name: _Name) -> str | None:
    subject = (name.doc or {}).get("subject")
    return subject if isinstance(subject, str) and document_key(subject) == name.id else None


def _limited(name: _Name) -> str | None:
    is_subject = name.doc is None or "subject" in name.doc
    return None if is_subject or not name.id.endswith(_LIMITS) else id_of(name.id).removesuffix(_LIMITS)


def _place(after: str, since: int | None) -> tuple[int | None, int]:
    if not after:
        return (None if since is None else bounded(since)), 0
    start, _, seen = after.partition(" ")
    return int(start), int(seen)


def _behind(rows: Sequence[Row], start: int | None, seen: int) -> str:
    starts = [int(bytes(row.key)) for row in rows]
    last = starts[-1]
    before = seen if last == start else 0
    return f"{last} {before + starts.count(last)}"
