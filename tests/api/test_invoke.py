"""Invoking and firing: section 7, and the fires of section 9.

The action does what its argument `__outcome` says; the scripted platform reads the same argument, so the tests hold
for both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from api.client import Answer, Client
from api.platform import InProcess

from upwhisk.common.model.identity import NamespaceLimits

Fresh = Callable[[str], str]
CODE = """
import os, time

def main(args):
    outcome = args.get("__outcome")
    if outcome == "application error":
        return {"error": "as asked"}
    if outcome == "action developer error":
        os._exit(1)
    if outcome == "array":
        return [1, 2, 3]
    if outcome == "never":
        time.sleep(2)
    print("hi")
    return args
"""


@pytest.fixture
async def action(client: Client, fresh: Fresh) -> str:
    name = fresh("echo")
    body = {
        "exec": {"kind": "python:3", "code": CODE},
        "parameters": [{"key": "a", "value": 1}, {"key": "b", "value": 2}],
    }
    assert (await client.put(f"actions/{name}", body)).status == 200
    return name


async def eventually(
    ask: Callable[[], Awaitable[Answer]], good: Callable[[Answer], bool], deadline_s: float = 20
) -> Answer:
    """Ask until the answer is good."""
    async with asyncio.timeout(deadline_s):
        while not good(answer := await ask()):
            await asyncio.sleep(0.02)
    return answer


async def test_integers_of_any_size_reach_the_action_and_its_record(client: Client, action: str) -> None:
    answer = await client.call(
        "POST", f"actions/{action}?blocking=true&result=true", data=b'{"n": 36893488147419103232}', headers={"Content-Type": "application/json"}
    )
    assert (answer.status, answer.json["n"]) == (200, 2**65)


async def record_of(client: Client, id_: str) -> Any:
    return (await eventually(lambda: client.get(f"activations/{id_}"), lambda a: a.status == 200)).json


async def test_non_blocking(client: Client, action: str) -> None:
    for query in ("", "?blocking=false&result=true", "?"):
        answer = await client.post(f"actions/{action}{query}", {"b": 3})
        assert answer.status == 202
        assert answer.json == {"activationId": answer.headers["x-openwhisk-activation-id"]}
        record = await record_of(client, answer.json["activationId"])
        assert record["response"]["result"] == {"a": 1, "b": 3}
        assert record["logs"]


async def test_blocking(client: Client, action: str) -> None:
    answer = await client.post(f"actions/{action}?blocking=true&result=false", {"b": {"x": 1}})
    assert answer.status == 200
    record = answer.json
    assert answer.headers["x-openwhisk-activation-id"] == record["activationId"]
    assert record["logs"] == []
    assert record["response"]["status"] == "success"
    assert record["response"]["success"] is True
    assert record["response"]["result"] == {"a": 1, "b": {"x": 1}}
    assert (record["namespace"], record["name"]) == (client.target.namespace, action)
    stored = await record_of(client, record["activationId"])
    assert stored["response"] == record["response"]
    row = (await client.get(f"activations?name={action}&limit=1")).json[0]
    assert (row["activationId"], row["statusCode"]) == (record["activationId"], 0)


async def test_only_the_result(client: Client, action: str) -> None:
    answer = await client.post(f"actions/{action}?blocking=true&result=true", {"c": "é"})
    assert (answer.status, answer.json) == (200, {"a": 1, "b": 2, "c": "é"})
    assert answer.headers["x-openwhisk-activation-id"]


async def test_without_a_body(client: Client, action: str) -> None:
    answer = await client.call("POST", f"actions/{action}?blocking=true&result=true")
    assert answer.json == {"a": 1, "b": 2}
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await client.call("POST", f"actions/{action}?blocking=true", headers=form)).status == 200


@pytest.mark.parametrize("outcome", ["application error", "action developer error"])
async def test_failures_of_the_action_are_502(client: Client, action: str, outcome: str) -> None:
    record = await client.post(f"actions/{action}?blocking=true", {"__outcome": outcome})
    assert record.status == 502
    assert record.json["response"]["status"] == outcome
    assert record.json["response"]["success"] is False
    assert "code" not in record.json
    result = await client.post(f"actions/{action}?blocking=true&result=true", {"__outcome": outcome})
    assert result.status == 502
    assert set(result.json) == {"error"}
    assert result.headers["x-openwhisk-activation-id"]


async def test_failures_of_the_platform_are_500(local: InProcess, client: Client, action: str) -> None:
    answer = await client.post(f"actions/{action}?blocking=true", {"__outcome": "whisk internal error"})
    assert (answer.status, answer.json["response"]["status"]) == (500, "whisk internal error")


@pytest.mark.parametrize("result", ["true", "false"])
async def test_arrays_are_bare(client: Client, action: str, result: str) -> None:
    answer = await client.post(f"actions/{action}?blocking=true&result={result}", {"__outcome": "array"})
    assert (answer.status, answer.json) == (200, [1, 2, 3])


async def test_too_slow_is_202(client: Client, action: str) -> None:
    answer = await client.post(f"actions/{action}?blocking=true&timeout=100", {"__outcome": "never"})
    assert answer.status == 202
    id_ = answer.json["activationId"]
    assert answer.headers["x-openwhisk-activation-id"] == id_
    assert (await record_of(client, id_))["activationId"] == id_


@pytest.mark.parametrize("timeout", ["0", "60001", "x", "-1"])
async def test_bad_timeouts(client: Client, action: str, timeout: str) -> None:
    answer = await client.post(f"actions/{action}?timeout={timeout}", {})
    text = "The query parameter 'timeout' was malformed:\nTimeout must be number of milliseconds up to 60000."
    assert (answer.status, answer.error) == (400, text)


async def test_payload_sizes(client: Client, action: str) -> None:
    large = "x" * (2**20 - 750)
    answer = await client.post(f"actions/{action}?blocking=true&result=true", {"c": large})
    assert (answer.status, answer.json["c"]) == (200, large)
    more = await client.post(f"actions/{action}", {"c": "x" * 2**20})
    assert (more.status, more.error) == (413, f"Request larger than allowed: {2**20 + 8} > {2**20} bytes.")


@pytest.mark.parametrize("annotation", ["final", "web-export"])
async def test_final_parameters(client: Client, fresh: Fresh, annotation: str) -> None:
    name = fresh("final")
    body = {
        "exec": {"kind": "python:3", "code": CODE},
        "parameters": [{"key": "fixed", "value": 1}, {"key": "open", "value": None}],
        "annotations": [{"key": annotation, "value": True}],
    }
    await client.put(f"actions/{name}", body)
    assert (await client.post(f"actions/{name}?blocking=true&result=true", {"open": 2})).json["open"] == 2
    refused = await client.post(f"actions/{name}?blocking=true", {"fixed": 2})
    text = "Request defines parameters that are not allowed (e.g., reserved properties)."
    assert (refused.status, refused.error) == (400, text)


async def test_package_parameters(client: Client, other: Client, fresh: Fresh) -> None:
    package = fresh("p")
    parameters = [{"key": "a", "value": "package"}, {"key": "z", "value": "package"}]
    await client.put(f"packages/{package}", {"parameters": parameters})
    body = {"exec": {"kind": "python:3", "code": CODE}, "parameters": [{"key": "a", "value": "action"}]}
    await client.put(f"actions/{package}/echo", body)
    path = f"actions/{package}/echo?blocking=true&result=true"
    assert (await client.post(path, {"p": 1})).json == {"a": "action", "z": "package", "p": 1}
    await client.put(f"packages/{package}?overwrite=true", {"parameters": []})
    assert (await client.post(path)).json == {"a": "action"}
    there = f"/api/v1/namespaces/{client.target.namespace}/{path}"
    assert (await other.post(there)).status == 403
    await client.put(f"packages/{package}?overwrite=true", {"publish": True})
    assert (await other.post(there)).json == {"a": "action"}


async def test_an_update_is_seen_at_once(client: Client, action: str) -> None:
    path = f"actions/{action}?blocking=true&result=true"
    await client.post(path)
    for number in range(3):
        await client.put(f"actions/{action}?overwrite=true", {"parameters": [{"key": "n", "value": number}]})
        assert (await client.post(path)).json == {"n": number}
    await client.delete(f"actions/{action}")
    assert (await client.post(path)).status == 404


async def test_kinds_not_allowed(local: InProcess, client: Client, action: str) -> None:
    await local.subjects.put_limits("guest", NamespaceLimits(allowed_kinds=("nodejs:20",)))
    answer = await client.post(f"actions/{action}", {})
    text = "The supplied authentication is not authorized to access actions of kind 'python:3.11'."
    assert (answer.status, answer.error) == (403, text)


async def test_fire_runs_each_active_rule(client: Client, action: str, fresh: Fresh) -> None:
    trigger, active, inactive = fresh("t"), fresh("r"), fresh("r")
    await client.put(f"triggers/{trigger}", {"parameters": [{"key": "t", "value": 1}]})
    for rule in (active, inactive):
        await client.put(f"rules/{rule}", {"trigger": f"/_/{trigger}", "action": f"/_/{action}"})
    await client.post(f"rules/{inactive}", {"status": "inactive"})
    fired = await client.post(
        f"triggers/{trigger}", {"p": 2}, headers={"X-Mine": "yes", "X-OW-EXTRA-LOGGING": "on"}
    )
    assert fired.status == 202
    record = await record_of(client, fired.json["activationId"])
    assert record["name"] == trigger
    assert "end" not in record
    assert record["response"]["result"] == {"p": 2}
    lines = {line["rule"]: line for line in map(msgspec.json.decode, record["logs"])}
    space = client.target.namespace
    assert set(lines) == {f"{space}/{active}", f"{space}/{inactive}"}
    assert lines[f"{space}/{active}"]["statusCode"] == 0
    assert lines[f"{space}/{inactive}"]["statusCode"] == 1
    if client.target.local is None:
        run = await record_of(client, lines[f"{space}/{active}"]["activationId"])
        result = run["response"]["result"]
        headers = result.pop("__ow_headers")
        assert result == {"a": 1, "b": 2, "t": 1, "p": 2}
    else:
        headers = client.target.local.fires.fired[-1][1]
    assert headers["x-mine"] == "yes"
    # The caller's key is nobody's business, least of all that of somebody else's action.
    assert not {"authorization", "x-ow-extra-logging"} & headers.keys()
