"""What CouchDB keeps for ever of records that were deleted, not purged: an administrator of the server takes it away.

Only such a one may purge, and no process of a fleet has that login (docs/couchdb.md, "Retention").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from upwhisk.backends.store.couchdb_answers import reason_of
from upwhisk.backends.store.couchdb_body import body_of
from upwhisk.backends.store.couchdb_client import LONG_S, Call, CouchClient
from upwhisk.backends.store.couchdb_pages import read_json
from upwhisk.backends.store.couchdb_retention import SLICE
from upwhisk.backends.store.database import unavailable


class _Change(msgspec.Struct):
    rev: str


class _Row(msgspec.Struct):
    id: str
    changes: list[_Change]
    deleted: bool = False


class _Changes(msgspec.Struct):
    """`last_seq`: where the next page begins; of a form that is CouchDB's own."""

    results: list[_Row]
    last_seq: Any = ""


async def purge(client: CouchClient, tell: Callable[[int], None]) -> int:
    """How many marks of records were removed; `tell` is called with the number so far. `StoreUnavailable`: some may be left."""
    database, since, count = client.database("activations"), "0", 0
    while True:
        found = await _page(client, database, since)
        marks = {row.id: [change.rev for change in row.changes] for row in found.results if row.deleted}
        if marks:
            answer = await client.send(_post(f"{database}/_purge", marks))
            if not answer.is_ok:
                raise unavailable(f"CouchDB does not purge: {reason_of(answer)}")
            count += len(marks)
            tell(count)
        if not found.results or str(found.last_seq) == since:
            return count
        since = str(found.last_seq)


async def _page(client: CouchClient, database: str, since: str) -> _Changes:
    query = {"filter": "_selector", "style": "all_docs", "limit": str(SLICE), "since": since}
    call = _post(f"{database}/_changes", {"selector": {"_deleted": True}}, query)
    return read_json(await client.send(call), _Changes)


def _post(path: str, body: dict[str, Any], query: dict[str, str] | None = None) -> Call:
    return Call(method="POST", path=path, query=query or {}, body=body_of(body), timeout_s=LONG_S)
