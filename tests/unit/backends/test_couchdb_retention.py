"""A sweep against a CouchDB that can purge, may not, or does so by halves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fakes.clock import HastyClock
from fakes.scripted_couch import Asked, Reaction, Say, ScriptedCouch, scripted

from upwhisk.backends.store.couchdb_client import CouchClient
from upwhisk.backends.store.couchdb_reach import Reach
from upwhisk.backends.store.couchdb_retention import COMPACT_ABOVE, CouchRetention, Sizes
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.settings import CouchDBSettings, RetentionSettings

REFUSED = Say(401, {"error": "unauthorized", "reason": "You are not a server admin."})
SPARE = {"file": 100, "active": 90}
HOLLOW = {"file": 10 * COMPACT_ABOVE, "active": COMPACT_ABOVE}


class Records:
    """The records of one database, oldest first, and what was done to them."""

    def __init__(self, count: int, *, purge: str = "all", sizes: dict[str, int] = SPARE, running: bool = False) -> None:
        self.left = [f"guest/{number:032x}" for number in range(count)]
        self.purged: list[str] = []
        self.deleted: list[str] = []
        self.commands: list[str] = []
        self.may_command = True
        self.others_remove = 0
        self.asked = 0
        self._purge, self._sizes, self._running = purge, sizes, running

    def __call__(self, asked: Asked) -> Reaction:
        self.asked += 1
        path, _, query = asked.path.partition("?")
        name = path.rpartition("/")[2]
        match name:
            case "oldest" if "reduce=true" in query:  # all of them in one row
                return Say(200, {"rows": [{"key": None, "value": {"sum": 100 * len(self.left), "count": len(self.left)}}]})
            case "oldest":
                rows = [{"id": key, "key": number, "value": 100} for number, key in enumerate(self.left)]
                # Another process sweeps too, and removes them between two of our questions.
                self.left, self.others_remove = self.left[self.others_remove :], 0
                return Say(200, {"rows": rows[:100]})
            case "_all_docs":
                return Say(200, {"rows": [{"id": key, "key": key, "value": {"rev": "1-a"}} for key in asked.json["keys"]]})
            case "_purge":
                return self._purging(list(asked.json))
            case "_bulk_docs":
                keys = [row["_id"] for row in asked.json["docs"]]
                self._remove(keys, self.deleted)
                return Say(201, [{"ok": True, "id": key, "rev": "2-b"} for key in keys])
            case "_info":
                return Say(200, {"view_index": {"sizes": self._sizes, "compact_running": self._running}})
        if asked.method == "GET":
            return Say(200, {"sizes": self._sizes, "compact_running": self._running})
        self.commands.append(path.removeprefix("/upwhisk_activations"))
        return Say(202, {"ok": True}) if self.may_command else REFUSED

    def _purging(self, keys: list[str]) -> Reaction:
        if self._purge == "refused":
            return REFUSED
        if self._purge == "missing":
            return Say(400, {"error": "bad_request", "reason": "only_multipart_accepted"})
        if self._purge == "fails":
            return Say(500, {"error": "internal_server_error"})
        done = keys if self._purge == "all" else keys[::2]
        self._remove(done, self.purged)
        return Say(201, {"purge_seq": None, "purged": {key: ["1-a"] if key in done else [] for key in keys}})

    def _remove(self, keys: list[str], into: list[str]) -> None:
        into += keys
        self.left = [key for key in self.left if key not in set(keys)]


@asynccontextmanager
async def retention(records: Records, max_records: int) -> AsyncIterator[tuple[CouchRetention, Reach]]:
    clock = HastyClock()
    reach = Reach(clock)
    async with scripted(ScriptedCouch(react=records)) as couch:
        client = CouchClient(CouchDBSettings(url=couch.url), reach, clock)
        await client.open()
        yield CouchRetention(client, RetentionSettings(max_age_s=0, max_mb=0, max_records=max_records), clock), reach
        await client.aclose()


async def test_records_are_purged() -> None:
    records = Records(330)
    async with retention(records, 10) as (swept, _):
        assert await swept.sweep() == 320
    assert (len(records.left), len(records.purged), records.deleted) == (10, 320, [])


@pytest.mark.parametrize("how", ["refused", "missing", "fails"])
async def test_where_a_purge_is_refused_they_are_deleted(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    records = Records(330, purge=how)
    async with retention(records, 10) as (swept, reach):
        assert await swept.sweep() == 320
        assert reach._failing == {}  # it is no outage
        records.left += [f"guest/{number:032x}" for number in range(400, 420)]
        assert await swept.sweep() == 20
    assert (len(records.left), records.purged, len(records.deleted)) == (10, [], 340)
    assert capsys.readouterr().out.count("marks stay") == 1


async def test_what_a_purge_left_is_deleted() -> None:
    records = Records(20, purge="half")
    async with retention(records, 10) as (swept, _):
        assert await swept.sweep() == 10
    assert (len(records.left), len(records.purged), len(records.deleted)) == (10, 5, 5)


async def test_hollow_files_are_compacted() -> None:
    records = Records(20, sizes=HOLLOW)
    async with retention(records, 10) as (swept, _):
        await swept.sweep()
    assert records.commands == ["/_compact", "/_compact/upwhisk-activations.v1", "/_view_cleanup"]


@pytest.mark.parametrize("records", [Records(20), Records(20, sizes=HOLLOW, running=True)])
async def test_others_are_not(records: Records) -> None:
    async with retention(records, 10) as (swept, _):
        await swept.sweep()
    assert records.commands == ["/_view_cleanup"]


async def test_who_may_not_compact_still_sweeps() -> None:
    records = Records(20, sizes=HOLLOW)
    records.may_command = False
    async with retention(records, 10) as (swept, reach):
        assert await swept.sweep() == 10
        assert reach._failing == {}


@pytest.mark.parametrize("others", [1, 60, 100, 320])
async def test_two_that_sweep_at_once_leave_what_may_stay(others: int) -> None:
    records = Records(330)
    records.others_remove = others
    async with retention(records, 10) as (swept, _):
        await swept.sweep()
    assert records.left == [f"guest/{number:032x}" for number in range(320, 330)]


async def test_what_does_not_go_ends_the_sweep() -> None:
    records = Records(20)
    records._remove = lambda keys, into: into.extend(keys)  # type: ignore[method-assign]
    async with retention(records, 10) as (swept, _):
        with pytest.raises(StoreUnavailable, match="still there"):
            await swept.sweep()


async def test_nothing_to_do_costs_two_questions() -> None:
    records = Records(5)
    async with retention(records, 10) as (swept, _):
        assert await swept.sweep() == 0
    assert (records.asked, records.commands) == (2, [])


def test_when_a_file_is_wasteful() -> None:
    assert not Sizes(COMPACT_ABOVE, 0).is_wasteful
    assert Sizes(2 * COMPACT_ABOVE + 10, COMPACT_ABOVE // 2).is_wasteful
    assert not Sizes(100 * COMPACT_ABOVE, 60 * COMPACT_ABOVE).is_wasteful
    assert Sizes(100 * COMPACT_ABOVE, 40 * COMPACT_ABOVE).is_wasteful
