"""What a backup makes of documents that change while it reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from fakes.clock import HastyClock
from fakes.scripted_couch import Asked, Reaction, Say, ScriptedCouch, scripted

from upwhisk.backends.store.couchdb_backup import write_backup
from upwhisk.backends.store.couchdb_client import CouchClient
from upwhisk.backends.store.couchdb_reach import Reach
from upwhisk.common.settings import CouchDBSettings

ID = "guest/a"
STUB = {"code": {"stub": True}}


def _row(revision: str | None, doc: dict[str, Any] | None) -> dict[str, Any]:
    return {"id": ID, "deleted": revision is None, "doc": doc}


class Changing:
    """A database `whisks` whose feed gives one page after another; revisions that are not in `kept` are compacted away."""

    def __init__(self, pages: list[list[dict[str, Any]]], kept: set[str]) -> None:
        self._pages = pages
        self._kept = kept
        self.pages_read = 0

    def react(self, asked: Asked) -> Reaction:
        parts = urlsplit(asked.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if not parts.path.startswith("/upwhisk_whisks/"):
            return Say(200, {"proof": "p", "last_seq": "0", "results": []})
        if parts.path.endswith("/_changes"):
            number = int(query["since"])
            self.pages_read += 1
            return Say(200, {"last_seq": number + 1, "results": self._pages[number] if number < len(self._pages) else []})
        if query["rev"] in self._kept:
            return Say(200, {"_id": ID, "_rev": query["rev"]})
        return Say(404, {"error": "not_found", "reason": "missing"})


async def _backup(database: Changing, folder: Path) -> list[str | None]:
    """The revisions of the lines about the document; None: it was deleted."""
    clock = HastyClock()
    async with scripted(ScriptedCouch(react=database.react)) as couch:
        client = CouchClient(CouchDBSettings(url=couch.url), Reach(clock), clock)
        await client.open()
        try:
            await write_backup(client, folder / "backup")
        finally:
            await client.aclose()
    lines = [msgspec.json.decode(line) for line in (folder / "backup").read_bytes().splitlines()[1:-1]]
    assert all((line["database"], line["id"]) == ("whisks", ID) for line in lines)
    return [line["doc"] and line["doc"]["_rev"] for line in lines]


def _stored(revision: str) -> dict[str, Any]:
    return _row(revision, {"_id": ID, "_rev": revision, "_attachments": STUB})


async def test_what_is_replaced_while_the_last_page_is_read(tmp_path: Path) -> None:
    database = Changing([[_stored("1-a")], [_stored("2-b")], [_stored("3-c")]], kept={"3-c"})
    assert await _backup(database, tmp_path) == [None, None, "3-c"]


async def test_a_document_that_a_page_could_not_show(tmp_path: Path) -> None:
    database = Changing([[_row("1-a", None)], [_stored("2-b")]], kept={"2-b"})
    assert await _backup(database, tmp_path) == [None, "2-b"]


async def test_what_is_gone_for_good_ends_it(tmp_path: Path) -> None:
    database = Changing([[_stored("1-a")]], kept=set())
    assert await _backup(database, tmp_path) == [None]
    assert database.pages_read == 2


async def test_it_ends_where_others_go_on_writing(tmp_path: Path) -> None:
    """A page that was read whole is the state of one moment, whatever comes after it."""
    pages = [[_stored("1-a")], [_row(None, None)], [_stored("3-c")]]
    assert await _backup(Changing(pages, kept={"1-a", "3-c"}), tmp_path) == ["1-a"]
    deleted = [[_row(None, None)], [_stored("3-c")]]
    assert await _backup(Changing(deleted, kept={"3-c"}), tmp_path) == [None]
