"""One trace from the caller through nodes into guests and records: its own, or one that begins here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from api.client import Client, Target, basic
from api.test_bytes import raw
from api.test_invoke import record_of

from upwhisk.controller.api.tracing import traceparent_of

Fresh = Callable[[str], str]
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01")
CODE = "import os\ndef main(args):\n    return {'trace': os.environ.get('__OW_TRACEPARENT')}"


@pytest.fixture
async def action(client: Client, fresh: Fresh) -> str:
    name = fresh("traced")
    assert (await client.put(f"actions/{name}", {"exec": {"kind": "python:3", "code": CODE}})).status == 200
    return name


@pytest.fixture
def elsewhere(target: Target) -> None:
    if target.local is not None:
        pytest.skip("this platform runs nothing")


def trace_in(record: dict[str, Any]) -> str | None:
    ours: dict[str, Any] = next((note["value"] for note in record["annotations"] if note["key"] == "upwhisk"), {})
    return ours.get("trace")


@pytest.mark.usefixtures("elsewhere")
async def test_the_callers_trace_is_in_the_guest_and_the_record(client: Client, action: str) -> None:
    answer = await client.post(f"actions/{action}?blocking=true", {}, headers={"traceparent": TRACE})
    assert answer.json["response"]["result"] == {"trace": TRACE}
    assert trace_in(answer.json) == TRACE


@pytest.mark.usefixtures("elsewhere")
async def test_a_trace_begins_where_a_caller_has_none(client: Client, action: str) -> None:
    answers = [await client.post(f"actions/{action}?blocking=true", {}) for _ in range(2)]
    traces = [answer.json["response"]["result"]["trace"] for answer in answers]
    assert all(FORM.fullmatch(trace) for trace in traces)
    assert len(set(traces)) == 2
    assert [trace_in(answer.json) for answer in answers] == traces


@pytest.mark.usefixtures("elsewhere")
async def test_a_sequence_and_its_components_have_one_trace(client: Client, action: str, fresh: Fresh) -> None:
    name = fresh("s")
    components = [f"/_/{action}", f"/_/{action}"]
    await client.put(f"actions/{name}", {"exec": {"kind": "sequence", "components": components}})
    answer = await client.post(f"actions/{name}?blocking=true", {}, headers={"traceparent": TRACE})
    own = await record_of(client, answer.json["activationId"])
    records = [own, *[await record_of(client, id_) for id_ in own["logs"]]]
    assert [trace_in(each) for each in (answer.json, *records)] == [TRACE] * 4


@pytest.mark.usefixtures("elsewhere")
async def test_a_fire_and_what_it_starts_have_one_trace(client: Client, action: str, fresh: Fresh) -> None:
    trigger = fresh("t")
    await client.put(f"triggers/{trigger}", {})
    for rule in (fresh("r"), fresh("r")):
        await client.put(f"rules/{rule}", {"trigger": f"/_/{trigger}", "action": f"/_/{action}"})
    fired = await client.post(f"triggers/{trigger}", {}, headers={"traceparent": TRACE})
    record = await record_of(client, fired.json["activationId"])
    lines = [msgspec.json.decode(line) for line in record["logs"]]
    runs = await asyncio.gather(*(record_of(client, line["activationId"]) for line in lines))
    assert [trace_in(each) for each in (record, *runs)] == [TRACE] * 3
    assert [each["response"]["result"]["trace"] for each in runs] == [TRACE] * 2


@pytest.mark.parametrize("blocking", ["true", "false"])
async def test_bytes_that_are_no_text_harm_nobody(client: Client, target: Target, action: str, blocking: str) -> None:
    head = f"POST /api/v1/namespaces/_/actions/{action}?blocking={blocking} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
    head = f"{head}Connection: close\r\nAuthorization: {basic(target.auth)}\r\ntraceparent: "
    for junk in (b"a\xff", b"\xed\xb2\x80", TRACE.encode() + b"\xff", b"x" * 5000):
        got = await raw(target, head.encode() + junk + b"\r\n\r\n")
        assert got.startswith((b"HTTP/1.1 200", b"HTTP/1.1 202")), got
    assert (await client.post(f"actions/{action}?blocking=true", {})).status == 200


@pytest.mark.parametrize(
    "sent",
    [None, "", "x", TRACE.upper(), f"{TRACE}-more", f"ff{TRACE[2:]}", TRACE + "\n", "a\udcff", TRACE[:-3], f" {TRACE}",
     f"00-{'0' * 32}-b7ad6b7169203331-01", f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01"],
)  # fmt: skip
def test_what_is_no_trace_begins_another(sent: str | None) -> None:
    made = traceparent_of(sent)
    assert FORM.fullmatch(made)
    assert made[3:35] not in (sent or "")


def test_of_a_later_version_what_this_one_knows_is_kept() -> None:
    assert traceparent_of(TRACE) == TRACE
    assert traceparent_of(f"01{TRACE[2:]}") == TRACE
    assert traceparent_of(f"cc{TRACE[2:]}-what-else") == TRACE
