"""Marks of deleted records: all that there are go, and a user who may not is told so."""

from __future__ import annotations

import pytest
from fakes.clock import HastyClock
from fakes.scripted_couch import Asked, Reaction, Say, ScriptedCouch, scripted

from upwhisk.backends.store import couchdb_marks
from upwhisk.backends.store.couchdb_client import CouchClient
from upwhisk.backends.store.couchdb_reach import Reach
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.settings import CouchDBSettings

REFUSED = Say(401, {"error": "unauthorized", "reason": "You are not a server admin."})


class Database:
    """`rows`: by place; some are deleted."""

    def __init__(self, count: int, *, may: bool = True) -> None:
        self.rows = {place: (f"guest/{place:032x}", place % 3 > 0) for place in range(1, count + 1)}
        self._may = may

    def __call__(self, asked: Asked) -> Reaction:
        if "_purge" in asked.path:
            return self._purge(asked.json) if self._may else REFUSED
        assert asked.json == {"selector": {"_deleted": True}}
        since = int(asked.path.partition("since=")[2].partition("-")[0])
        found = [(place, key) for place, (key, deleted) in self.rows.items() if deleted and place > since][:100]
        rows = [{"id": key, "seq": f"{place}-x", "changes": [{"rev": "2-b"}], "deleted": True} for place, key in found]
        return Say(200, {"results": rows, "last_seq": f"{found[-1][0] if found else max(self.rows, default=0)}-x"})

    def _purge(self, asked: dict[str, list[str]]) -> Reaction:
        assert len(asked) <= 100, "more than CouchDB takes at a time"
        self.rows = {place: row for place, row in self.rows.items() if row[0] not in asked}
        return Say(201, {"purge_seq": None, "purged": asked})


async def purged(database: Database) -> list[int]:
    """What was told, and the end."""
    clock, told = HastyClock(), list[int]()
    async with scripted(ScriptedCouch(react=database)) as couch:
        client = CouchClient(CouchDBSettings(url=couch.url), Reach(clock), clock)
        await client.open()
        try:
            return [await couchdb_marks.purge(client, told.append), *told]
        finally:
            await client.aclose()


async def test_all_marks_go_and_no_record() -> None:
    database = Database(400)
    assert await purged(database) == [267, 100, 200, 267]
    assert [deleted for _, deleted in database.rows.values()] == [False] * 133
    assert await purged(Database(0)) == [0]


async def test_who_may_not_is_told_so() -> None:
    database = Database(10, may=False)
    with pytest.raises(StoreUnavailable, match="You are not a server admin"):
        await purged(database)
    assert len(database.rows) == 10
