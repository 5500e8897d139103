"""Writes whose rows are refused, and writes whose answers are lost."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote_plus

import msgspec
import pytest
from fakes.clock import HastyClock
from fakes.samples import START_MS, document, record
from fakes.scripted_couch import Asked, Break, Reaction, Say, ScriptedCouch, scripted

from upwhisk.backends.store.couchdb_activations import CouchActivations
from upwhisk.backends.store.couchdb_batches import BATCH, BATCH_BYTES, batches, bulk_parts
from upwhisk.backends.store.couchdb_body import Body
from upwhisk.backends.store.couchdb_client import CouchClient
from upwhisk.backends.store.couchdb_entities import CouchEntities
from upwhisk.backends.store.couchdb_reach import Reach
from upwhisk.backends.store.couchdb_records import LARGE, stored
from upwhisk.common.errors import DocumentMissing, RevisionConflict, StoreUnavailable
from upwhisk.common.model.activation import Activation, succeeded
from upwhisk.common.settings import CouchDBSettings
from upwhisk.common.spi.store import ActivationQuery, Document

MISSING = Say(404, {"error": "not_found", "reason": "missing"})
CONFLICT = Say(409, {"error": "conflict", "reason": "Document update conflict."})
TOO_LARGE = Say(413, {"error": "document_too_large", "reason": ""})


@asynccontextmanager
async def connected(couch: ScriptedCouch) -> AsyncIterator[CouchClient]:
    clock = HastyClock()
    async with scripted(couch):
        client = CouchClient(CouchDBSettings(url=couch.url), Reach(clock), clock)
        await client.open()
        yield client
        await client.aclose()


@asynccontextmanager
async def activations(couch: ScriptedCouch) -> AsyncIterator[CouchActivations]:
    async with connected(couch) as client:
        yield CouchActivations(client)


@asynccontextmanager
async def entities(*script: Reaction) -> AsyncIterator[tuple[CouchEntities, ScriptedCouch]]:
    couch = ScriptedCouch(*script)
    async with connected(couch) as client:
        yield CouchEntities(client), couch


def accepting(refused: Callable[[dict[str, Any]], Reaction | None]) -> Callable[[Asked], Reaction]:
    """CouchDB's way: one row that cannot be taken refuses all, and nothing is saved."""

    def react(asked: Asked) -> Reaction:
        rows = asked.json["docs"]
        found = next((reaction for row in rows if (reaction := refused(row)) is not None), None)
        return found or Say(201, [{"ok": True, "id": row["_id"], "rev": "1-a"} for row in rows])

    return react


def unless_attached(id_: str, refusal: Reaction) -> Callable[[dict[str, Any]], Reaction | None]:
    """One record is refused in any form but that of an attachment."""
    return lambda row: refusal if row["activationId"] == id_ and "_attachments" not in row else None


def saved(couch: ScriptedCouch) -> list[list[str]]:
    return [[row["activationId"] for row in asked.json["docs"]] for asked in couch.asked]


@pytest.mark.parametrize("refusal", [Say(400, {"error": "bad_request", "reason": "invalid"}), TOO_LARGE, Say(412)])
async def test_a_row_that_is_refused_as_json_goes_as_an_attachment(refusal: Reaction) -> None:
    records = [record() for _ in range(8)]
    bad = records[5].activation_id
    couch = ScriptedCouch(react=accepting(unless_attached(bad, refusal)))
    async with activations(couch) as store:
        assert await store.put(records) == 8
    assert [len(ids) for ids in saved(couch)] == [8, 4, 4, 2, 1, 1, 1, 2]
    attached = [row for asked in couch.asked for row in asked.json["docs"] if "_attachments" in row]
    assert [row["activationId"] for row in attached] == [bad]


CRASH = Say(500, {"error": "unknown_error", "reason": "badarith", "ref": 1})


async def test_a_row_at_which_couchdb_crashes_goes_as_an_attachment_and_holds_up_nobody() -> None:
    records = [record() for _ in range(4)]
    bad = records[0].activation_id
    couch = ScriptedCouch(react=accepting(unless_attached(bad, CRASH)))
    async with activations(couch) as store:
        assert await store.put(records) == 4
    assert saved(couch)[-1] == [each.activation_id for each in records[2:]]


@pytest.mark.parametrize("failure", [CRASH, Say(500, {"error": "internal_server_error"})])
async def test_a_couchdb_that_fails_loses_nothing(failure: Reaction, capsys: pytest.CaptureFixture[str]) -> None:
    couch = ScriptedCouch(react=lambda asked: failure)
    async with activations(couch) as store:
        with pytest.raises(StoreUnavailable):
            await store.put([record() for _ in range(4)])
    assert "record cannot be stored" not in capsys.readouterr().out


async def test_what_can_never_be_stored_is_left_out_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    records = [record() for _ in range(3)]
    bad = records[1].activation_id
    couch = ScriptedCouch(react=accepting(lambda row: TOO_LARGE if row["activationId"] == bad else None))
    async with activations(couch) as store:
        assert await store.put(records) == 2
    assert bad in (printed := capsys.readouterr().out)
    assert "document_too_large" in printed


async def test_malformed_ids_are_left_out() -> None:
    couch = ScriptedCouch(react=accepting(lambda row: None))
    bad = msgspec.structs.replace(record(), activation_id="nothing")
    async with activations(couch) as store:
        assert await store.put([bad]) == 0
        assert await store.put([bad, record()]) == 1
    assert len(couch.asked) == 1


async def test_rows_say_what_became_of_them() -> None:
    records = [record() for _ in range(3)]
    rows = [
        {"ok": True, "id": "a", "rev": "1-a"},
        {"id": "b", "error": "conflict", "reason": "Document update conflict."},
        {"id": "c", "error": "forbidden", "reason": "not here"},
    ]
    async with activations(ScriptedCouch(Say(201, rows))) as store:
        assert await store.put(records) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Say(201, [{"id": "a", "error": "unauthorized", "reason": "no"}]),
        Say(201, []),
        Say(201, b'[{"ok":true'),
        Say(404, {"error": "not_found", "reason": "Database does not exist."}),
    ],
)
async def test_what_is_neither_stored_nor_there_is_an_error(answer: Reaction) -> None:
    async with activations(ScriptedCouch(answer)) as store:
        with pytest.raises(StoreUnavailable):
            await store.put([record()])


async def test_an_id_twice_in_one_call_is_sent_once() -> None:
    first = record(result={"n": 1})
    couch = ScriptedCouch(react=accepting(lambda row: None))
    async with activations(couch) as store:
        assert await store.put([first, record(first.activation_id, result={"n": 2}), record()]) == 2
    assert couch.asked[0].json["docs"][0]["response"]["result"] == {"n": 1}
    assert len(couch.asked[0].json["docs"]) == 2


def test_batches_are_bounded_by_number_and_bytes() -> None:
    small = [stored(record()) for _ in range(2 * BATCH + 1)]
    assert [len(batch) for batch in batches(small)] == [BATCH, BATCH, 1]
    large = [stored(record(logs=("x" * (LARGE * 4),))) for _ in range(6)]
    found = list(batches(large))
    assert [row.id for batch in found for row in batch] == [row.id for row in large]
    assert all(Body(bulk_parts(batch)).length <= BATCH_BYTES + 1000 for batch in found)
    assert len(found) > 1
    huge = [stored(record(logs=("x" * BATCH_BYTES,))), stored(record())]
    assert [len(batch) for batch in batches(huge)] == [1, 1]
    assert list(batches([])) == []


async def test_a_write_whose_answer_was_lost_is_known_again() -> None:
    written: dict[str, Any] = {}

    def react(asked: Asked) -> Reaction:
        if asked.method == "GET":
            return Say(200, written)
        if not written:
            written.update(asked.json, _rev="1-mine")
            return Break()
        return CONFLICT

    couch = ScriptedCouch(react=react)
    async with connected(couch) as client:
        assert await CouchEntities(client).put(document(body={"n": 1})) == "1-mine"


async def test_another_writers_document_is_not_ours() -> None:
    others = {**json.loads(msgspec.json.encode(_fields(document(body={"n": 2})))), "_rev": "1-theirs"}
    async with entities(Break(), CONFLICT, Say(200, others)) as (store, _):
        with pytest.raises(RevisionConflict):
            await store.put(document(body={"n": 1}))


async def test_a_conflict_at_the_first_attempt_is_not_looked_into() -> None:
    async with entities(CONFLICT) as (store, couch):
        with pytest.raises(RevisionConflict):
            await store.put(document())
        assert len(couch.asked) == 1


async def test_a_text_that_is_no_revision_is_a_stale_one() -> None:
    bad = Say(400, {"error": "bad_request", "reason": "Invalid rev format"})
    async with entities(bad, bad, MISSING) as (store, _):
        with pytest.raises(RevisionConflict):
            await store.put(document(revision="nonsense"))
        with pytest.raises(DocumentMissing):
            await store.delete("guest/hello", "nonsense")


async def test_a_document_too_large_for_couchdb_says_so() -> None:
    async with entities(TOO_LARGE) as (store, _):
        with pytest.raises(StoreUnavailable, match="413 document_too_large"):
            await store.put(document())


async def test_a_delete_whose_answer_was_lost() -> None:
    gone = Say(201, [{"id": "guest/hello", "error": "conflict", "reason": "Document update conflict."}])
    async with entities(Break(), gone, MISSING) as (store, _):
        await store.delete("guest/hello", "1-a")
    async with entities(gone, MISSING) as (store, _):
        with pytest.raises(DocumentMissing):
            await store.delete("guest/hello", "1-a")
    there = Say(200, {**_fields(document()), "_rev": "2-b"})
    async with entities(gone, there) as (store, _):
        with pytest.raises(RevisionConflict):
            await store.delete("guest/hello", "1-a")


async def test_code_replaced_between_two_reads() -> None:
    first = {**_fields(document()), "_rev": "1-a", "_attachments": {"code": {"stub": True}}}
    second = {**first, "_rev": "2-b"}
    async with entities(Say(200, first), MISSING, Say(200, second), Say(200, b"new code")) as (store, _):
        found = await store.get("guest/hello", attachment=True)
        assert found is not None
        assert (found.revision, found.attachment) == ("2-b", b"new code")


async def test_a_list_that_breaks_off_is_no_list() -> None:
    # CouchDB has sent its 200 when a shard fails in the midst of the rows.
    broken = b'{"total_rows":2,"offset":0,"rows":[\n{"id":"a","key":["guest",1],"value":null,"doc":{}},\n{"error":"timeout"'
    async with activations(ScriptedCouch(Say(200, broken))) as store:
        with pytest.raises(StoreUnavailable, match="damaged"):
            await store.list(ActivationQuery(namespace="guest"))


async def test_long_lists_go_on_by_key_and_not_by_skip() -> None:
    rows = [_row(record(start=START_MS - number)) for number in range(250)]

    def react(asked: Asked) -> Reaction:
        query = dict(part.split("=", 1) for part in asked.path.partition("?")[2].split("&"))
        after = json.loads(unquote_plus(query["startkey"]))
        begin = next((number for number, row in enumerate(rows) if row["key"] == after), 0) + int(query["skip"])
        return Say(200, {"total_rows": 250, "offset": begin, "rows": rows[begin : begin + int(query["limit"])]})

    couch = ScriptedCouch(react=react)
    async with activations(couch) as store:
        found = await store.list(ActivationQuery(namespace="guest", skip=10))
        assert len(found) == 240
        assert len(await store.list(ActivationQuery(namespace="guest", limit=130))) == 130
    skips = [asked.path.partition("skip=")[2].partition("&")[0] for asked in couch.asked]
    assert skips == ["10", "1", "1", "0", "1"]


@pytest.mark.parametrize("name", ["a​", "á", "", "a//b", "_/..", "a%2Fb", "x" * 300])
async def test_texts_that_name_nothing_are_not_asked_for(name: str) -> None:
    couch = ScriptedCouch()
    async with activations(couch) as store:
        query = ActivationQuery(namespace="guest", name=name)
        assert (await store.list(query), await store.count(query)) == ([], 0)
        query = ActivationQuery(namespace=name)
        assert (await store.list(query), await store.count(query)) == ([], 0)
    assert couch.asked == []


async def test_foreign_documents_do_not_break_a_list() -> None:
    good = _row(record())
    foreign = {**good, "doc": {"_id": "x", "_rev": "1-a", "activationId": "y", "start": "yesterday"}}
    gone = {**good, "doc": None}
    async with activations(ScriptedCouch(Say(200, {"rows": [foreign, good, gone]}))) as store:
        assert len(await store.list(ActivationQuery(namespace="guest", limit=30))) == 1


async def test_a_guests_text_that_is_no_json_is_kept_as_an_attachment() -> None:
    malformed = msgspec.structs.replace(record(), response=succeeded(msgspec.Raw(b'{"a":\xff}')))
    couch = ScriptedCouch(react=accepting(lambda row: None))
    async with activations(couch) as store:
        assert await store.put([malformed]) == 1
    assert "record" in couch.asked[0].json["docs"][0]["_attachments"]


def _row(written: Activation) -> dict[str, Any]:
    fields = json.loads(stored(written).document)
    return {"id": fields["_id"], "key": ["guest", written.start, fields["_id"]], "value": None, "doc": {**fields, "_rev": "1-a"}}


def _fields(written: Document) -> dict[str, Any]:
    from upwhisk.backends.store.couchdb_documents import entity_fields

    return entity_fields(written)


@pytest.mark.parametrize("answer", [Say(200, b'{"_id":"guest/hel'), Say(200, b"[]"), Say(302, b"")])
async def test_an_answer_that_is_none_is_an_outage_and_no_entity(answer: Reaction) -> None:
    async with entities(answer, answer, answer) as (store, _):
        with pytest.raises(StoreUnavailable):
            await store.get("guest/hello")
        with pytest.raises(StoreUnavailable):
            await store.put(document())
        with pytest.raises(StoreUnavailable):
            await store.delete("guest/hello", "1-a")
