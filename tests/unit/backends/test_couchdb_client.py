"""What the client makes of answers, and of none."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fakes.clock import HastyClock
from fakes.scripted_couch import Break, Hang, Reaction, Say, ScriptedCouch, scripted
from fakes.until import until
from services.ports import free_ports

from upwhisk.backends.store.couchdb_answers import Answer, delay_s, reason_of
from upwhisk.backends.store.couchdb_body import CHUNK, Base64, Body, body_of
from upwhisk.backends.store.couchdb_client import (
    CONNECTIONS,
    RETRY_S,
    Call,
    CouchClient,
    Denied,
    Unreached,
    escaped,
)
from upwhisk.backends.store.couchdb_reach import GRACE_S, Reach
from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import ConfigurationError, StoreUnavailable
from upwhisk.common.settings import CouchDBSettings

SHARDS = Say(500, {"error": "internal_server_error", "reason": "No DB shards could be opened."})
GET = Call(method="GET", path="/db/id")
WRITE = Call(method="POST", path="/db", body=body_of({"a": 1}), lane="write")


@asynccontextmanager
async def client_of(url: str, clock: HastyClock | None = None, **settings: Any) -> AsyncIterator[CouchClient]:
    clock = clock or HastyClock()
    client = CouchClient(CouchDBSettings(url=url, **settings), Reach(clock), clock)
    try:
        await client.open()
        yield client
    finally:
        await client.aclose()


async def test_what_passes_is_asked_again() -> None:
    async with scripted(ScriptedCouch(SHARDS, Break(), Say(200, {"x": 1}))) as couch, client_of(couch.url) as client:
        answer = await client.send(WRITE)
        assert (answer.status, answer.fields(), answer.uncertain) == (200, {"x": 1}, True)
        assert [asked.json for asked in couch.asked] == [{"a": 1}] * 3
        assert client.reach.reason is None


async def test_a_refused_connection_leaves_no_doubt() -> None:
    port = free_ports(1)[0]
    couch = ScriptedCouch(Say(200))
    clock = HastyClock()
    async with client_of(f"http://127.0.0.1:{port}", clock) as client:
        with pytest.raises(Unreached, match=f"127.0.0.1:{port}: no connection") as failure:
            await client.send(GET)
        assert not failure.value.certificate
    assert RETRY_S / 2 < sum(clock.slept) <= RETRY_S
    assert couch.asked == []


@pytest.mark.parametrize("reaction", [SHARDS, Break(), Say(503, b"<html>busy</html>"), Say(429)])
async def test_patience_ends_in_time_and_then_everything_is_asked_once(reaction: Reaction) -> None:
    clock = HastyClock()
    async with (
        scripted(ScriptedCouch(react=lambda asked: reaction)) as couch,
        client_of(couch.url, clock) as client,
    ):
        with pytest.raises(StoreUnavailable):
            await client.send(WRITE)
        assert sum(clock.slept) <= RETRY_S
        assert len(couch.asked) > 3
        asked, slept = len(couch.asked), len(clock.slept)
        with pytest.raises(StoreUnavailable):
            await client.send(WRITE)
        # Exactly one: the library beneath repeats other methods by itself, and we would not know.
        assert (len(couch.asked), len(clock.slept)) == (asked + 1, slept)


async def test_a_couchdb_that_hangs_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is refused and nothing answered: those who wait are told long before their own time is up."""
    monkeypatch.setattr("upwhisk.backends.store.couchdb_reach.SILENT_S", 0.2)
    monkeypatch.setattr("upwhisk.backends.store.couchdb_reach.ANSWER_S", 0.2)
    monkeypatch.setattr("upwhisk.backends.store.couchdb_client.ANSWER_S", 0.2)
    monkeypatch.setattr("upwhisk.backends.store.couchdb_client.RETRY_S", 0.1)
    clock = SystemClock()
    async with scripted(ScriptedCouch(react=lambda asked: Hang())) as couch:
        client = CouchClient(CouchDBSettings(url=couch.url), Reach(clock), clock)
        await client.open()
        small = Call(method="GET", path="/", optional=True)
        listening = asyncio.create_task(client.reach.listen(lambda lane: client.send(small)))
        try:
            began = clock.monotonic()
            outcomes = await asyncio.gather(
                *(client.send(msgspec.structs.replace(each, timeout_s=60.0)) for each in (GET, WRITE)),
                return_exceptions=True,
            )
            assert all(isinstance(each, Unreached) for each in outcomes)
            assert clock.monotonic() - began < 30
            assert client.reach.fails("read")
            assert client.reach.fails("write")
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            await client.aclose()


async def test_one_slow_request_among_others_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upwhisk.backends.store.couchdb_reach.SILENT_S", 0.1)
    clock = SystemClock()
    react = lambda asked: Hang() if asked.path.endswith("/id") else Say(200)  # noqa: E731
    async with scripted(ScriptedCouch(react=react)) as couch:
        client = CouchClient(CouchDBSettings(url=couch.url), Reach(clock), clock)
        await client.open()
        small = Call(method="GET", path="/small")
        listening = asyncio.create_task(client.reach.listen(lambda lane: client.send(small)))
        slow = asyncio.create_task(client.send(msgspec.structs.replace(GET, timeout_s=60.0)))
        try:
            await until(lambda: len([one for one in couch.asked if one.path.endswith("/small")]) >= 3)
            assert not client.reach.fails("read")
            assert not slow.done()
        finally:
            for task in (listening, slow):
                task.cancel()
            await asyncio.gather(listening, slow, return_exceptions=True)
            await client.aclose()


async def test_slow_requests_on_every_connection_are_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small question has a connection of its own; a refusal is an answer, too."""
    monkeypatch.setattr("upwhisk.backends.store.couchdb_reach.SILENT_S", 0.1)
    monkeypatch.setattr("upwhisk.backends.store.couchdb_reach.ANSWER_S", 0.5)
    clock = SystemClock()
    react = lambda asked: Hang() if asked.path.endswith("/id") else Say(429)  # noqa: E731
    async with scripted(ScriptedCouch(react=react)) as couch:
        client = CouchClient(CouchDBSettings(url=couch.url), Reach(clock), clock)
        await client.open()
        small = Call(method="GET", path="/small", apart=True, optional=True)
        listening = asyncio.create_task(client.reach.listen(lambda lane: client.send(small)))
        slow = [asyncio.create_task(client.send(msgspec.structs.replace(GET, timeout_s=60.0))) for _ in range(CONNECTIONS)]
        try:
            await until(lambda: len([one for one in couch.asked if one.path.endswith("/small")]) >= 3)
            assert not any(one.done() for one in slow)
        finally:
            for task in (listening, *slow):
                task.cancel()
            await asyncio.gather(listening, *slow, return_exceptions=True)
            await client.aclose()


async def test_a_lane_that_fails_hurries_itself_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upwhisk.backends.store.couchdb_client.ANSWER_S", 0.0)
    async with scripted(ScriptedCouch(react=lambda asked: Say(200))) as couch, client_of(couch.url) as client:
        assert (await client.send(WRITE)).status == 200
        client.reach.failed("write", "its disk is full")
        assert (await client.send(GET)).status == 200


async def test_a_password_for_nobody() -> None:
    with pytest.raises(ConfigurationError, match=r"setting couchdb\.user: is empty"):
        async with client_of("http://127.0.0.1:1", password_file="/some/file"):
            pass


async def test_a_couchdb_that_speaks_no_tls() -> None:
    async with (
        scripted(ScriptedCouch(react=lambda asked: Say(200))) as couch,
        client_of(couch.url.replace("http://", "https://")) as client,
    ):
        with pytest.raises(Unreached, match="does not speak TLS there; is it http") as failure:
            await client.send(GET)
        assert not failure.value.certificate


async def test_no_answer_in_time() -> None:
    async with (
        scripted(ScriptedCouch(Hang(), Say(200))) as couch,
        client_of(couch.url) as client,
    ):
        answer = await client.send(Call(method="POST", path="/db", body=body_of({}), timeout_s=0.2))
        assert (answer.status, answer.uncertain) == (200, True)


@pytest.mark.parametrize("status", [401, 403])
async def test_who_is_not_let_in_is_told_at_once(status: int) -> None:
    refusal = Say(status, {"error": "unauthorized", "reason": "Name or password is incorrect."})
    async with scripted(ScriptedCouch(refusal)) as couch, client_of(couch.url) as client:
        with pytest.raises(Denied, match="Name or password is incorrect") as failure:
            await client.send(GET)
        assert failure.value.status == status
        assert len(couch.asked) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 400, 404, 409, 412, 413])
async def test_answers_are_the_callers(status: int) -> None:
    async with scripted(ScriptedCouch(Say(status))) as couch, client_of(couch.url) as client:
        answer = await client.send(GET)
        assert (answer.status, answer.is_ok, answer.uncertain) == (status, status < 300, False)


async def test_the_login_is_sent_and_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("pä:ss wörd\n")
    login: dict[str, Any] = {"user": "bert", "password_file": str(secret)}
    async with scripted(ScriptedCouch(Say(200), Say(401))) as couch, client_of(couch.url, **login) as client:
        await client.send(GET)
        with pytest.raises(Denied) as failure:
            await client.send(GET)
    sent = couch.asked[0].headers["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(sent).decode() == "bert:pä:ss wörd"
    assert "pä:ss" not in str(failure.value)
    assert "Expect" not in couch.asked[0].headers
    assert couch.asked[0].headers["Accept"] == "application/json"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"url": "127.0.0.1:5984"}, "couchdb.url"),
        ({"url": "http://u:p4ssw0rd@127.0.0.1:5984"}, "couchdb.url"),
        ({"user": "bert"}, "couchdb.password_file"),
        ({"user": "bert", "password_file": "/nowhere/at/all"}, "couchdb.password_file"),
        ({"ca_file": "/nowhere/at/all"}, "couchdb.ca_file"),
        ({"prefix": "Upper"}, "couchdb.prefix"),
        ({"prefix": "_mine"}, "couchdb.prefix"),
    ],
)
async def test_settings_that_cannot_be(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        async with client_of(**{"url": "http://127.0.0.1:1", **settings}):
            pass
    assert failure.value.setting == named
    assert "p4ssw0rd" not in str(failure.value)


async def test_a_closed_client_says_so() -> None:
    async with client_of("http://127.0.0.1:1") as client:
        await client.aclose()
        with pytest.raises(StoreUnavailable, match="it is closed"):
            await client.send(GET)


async def test_paths_and_queries_are_escaped() -> None:
    async with scripted(ScriptedCouch(Say(200))) as couch, client_of(couch.url, prefix="a+b-") as client:
        path = f"{client.database('whisks')}/{escaped('ns/a b+c@d&e')}"
        await client.send(Call(method="GET", path=path, query={"key": '"a b+c&"', "since": "1-g1=="}))
    assert couch.asked[0].path == "/a%2Bb-whisks/ns%2Fa%20b%2Bc%40d%26e?key=%22a+b%2Bc%26%22&since=1-g1%3D%3D"


@pytest.mark.parametrize("size", [0, 1, 2, CHUNK - 1, CHUNK, 3 * CHUNK + 1])
async def test_large_bodies_travel_in_pieces(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    async with scripted(ScriptedCouch(Break(), Say(200))) as couch, client_of(couch.url) as client:
        body = Body([b'{"a":"', Base64(data[:size]), b'"}'])
        await client.send(Call(method="POST", path="/", body=body))
    for asked in couch.asked:
        assert base64.b64decode(asked.json["a"]) == data[:size]
        assert int(asked.headers["Content-Length"]) == body.length == len(asked.body)


def test_delays_double_up_to_two_seconds() -> None:
    assert [delay_s(attempt, 1.0) for attempt in range(4)] == pytest.approx([0.05, 0.1, 0.2, 0.4])
    assert delay_s(50, 1.0) == 2.0
    assert delay_s(50, 0.0) == 1.0


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":"not_found","reason":"missing"}', "404 not_found: missing"),
        (b'{"error":"document_too_large","reason":""}', "404 document_too_large"),
        (b"<html>", "404"),
        (b'{"error":"' + b"x" * 1000 + b'"}', "404 " + "x" * 196),
    ],
)
def test_reasons(body: bytes, text: str) -> None:
    assert reason_of(Answer(404, body)) == text


async def test_a_blip_is_no_outage_and_lanes_are_apart() -> None:
    clock = HastyClock()
    reach = Reach(clock)
    seen: list[str | None] = []
    reach.failed("write", "no space")
    seen.append(reach.reason)
    await clock.sleep(GRACE_S)
    reach.failed("write", "still no space")
    seen.append(reach.reason)
    reach.answered("read")
    seen.append(reach.reason)
    reach.answered("write")
    seen.append(reach.reason)
    assert seen == [None, "still no space", "still no space", None]


async def test_the_probe_asks_while_a_lane_fails() -> None:
    clock = HastyClock()
    reach = Reach(clock)
    asked: list[str] = []

    async def ask(lane: str) -> None:
        asked.append(lane)
        if len(asked) < 4:
            raise StoreUnavailable("still away")
        reach.answered("write")
        back.set()

    back = asyncio.Event()
    probe = asyncio.create_task(reach.probe(ask))
    reach.failed("write", "away")
    await asyncio.wait_for(back.wait(), 5)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    assert asked == ["write"] * 4
    assert all(slept <= 1.0 for slept in clock.slept)
