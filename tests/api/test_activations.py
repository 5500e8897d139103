"""Activations: section 12, and the live state."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from api.client import Client
from api.platform import InProcess

from upwhisk.common.ids import ActivationId, new_activation_id
from upwhisk.common.model.activation import Activation, Status, failed, succeeded
from upwhisk.common.model.parameters import Parameter


async def store(local: InProcess, name: str = "a", start: int = 1000, **more: Any) -> ActivationId:
    given: dict[str, Any] = {
        "namespace": "guest",
        "name": name.rpartition("/")[2],
        "version": "0.0.1",
        "subject": "guest",
        "activation_id": new_activation_id(),
        "start": start,
        "end": start + 5,
        "duration": 5,
        "response": succeeded({"n": 1}, 7),
        "logs": ("2026-01-01T00:00:00.000000000Z stdout: hi",),
        "annotations": (Parameter("path", f"guest/{name}"), Parameter("kind", "nodejs:20")),
    }
    record = Activation(**(given | more))
    assert await local.store.activations.put([record]) == 1
    return record.activation_id


async def test_record_result_and_logs(local: InProcess, client: Client) -> None:
    id_ = await store(local)
    record = (await client.get(f"activations/{id_}")).json
    assert record == {
        "namespace": "guest",
        "name": "a",
        "version": "0.0.1",
        "subject": "guest",
        "activationId": id_,
        "start": 1000,
        "end": 1005,
        "duration": 5,
        "response": {"status": "success", "success": True, "result": {"n": 1}, "size": 7},
        "logs": ["2026-01-01T00:00:00.000000000Z stdout: hi"],
        "annotations": [{"key": "path", "value": "guest/a"}, {"key": "kind", "value": "nodejs:20"}],
        "publish": False,
    }
    assert (await client.get(f"activations/{id_}/result")).json == record["response"]
    assert (await client.get(f"activations/{id_}/logs")).json == {"logs": record["logs"]}
    assert (await client.get(f"activations/{id_}/other")).status == 404
    for method in ("PUT", "POST", "DELETE"):
        assert (await client.call(method, f"activations/{id_}")).status == 405


async def test_list_rows(local: InProcess, client: Client) -> None:
    cause = new_activation_id()
    failure = await store(local, "b", 2000, response=failed(Status.DEVELOPER_ERROR, "x"), cause=cause)
    trigger = await store(local, "t", 3000, end=msgspec.UNSET, duration=msgspec.UNSET)
    await store(local, "a", 1000)
    rows = (await client.get("activations?limit=2")).json
    assert [row["activationId"] for row in rows] == [trigger, failure]
    assert "end" not in rows[0]
    assert "statusCode" not in rows[0]
    assert rows[1] == {
        "namespace": "guest",
        "name": "b",
        "version": "0.0.1",
        "publish": False,
        "annotations": [{"key": "path", "value": "guest/b"}, {"key": "kind", "value": "nodejs:20"}],
        "activationId": failure,
        "start": 2000,
        "end": 2005,
        "duration": 5,
        "statusCode": 2,
        "cause": cause,
    }
    full = (await client.get("activations?docs=true&limit=0&skip=1")).json
    assert [row["logs"] != [] for row in full] == [True, True]


async def test_filters(local: InProcess, client: Client) -> None:
    for start in (1000, 2000, 3000):
        await store(local, "a", start)
    await store(local, "p/a", 1500)
    count = "activations?count=true"
    assert (await client.get(count)).json == {"activations": 4}
    assert (await client.get(f"{count}&since=1500&upto=2000")).json == {"activations": 2}
    assert (await client.get(f"{count}&name=a")).json == {"activations": 3}
    assert (await client.get(f"{count}&name=p%2Fa")).json == {"activations": 1}
    assert (await client.get(f"{count}&name=")).json == {"activations": 4}
    assert (await client.get(f"{count}&skip=3")).json == {"activations": 1}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            "since=x",
            "The query parameter 'since' was malformed:\nParameter is not a valid value for epoch seconds: x",
        ),
        (
            "upto=1.5",
            "The query parameter 'upto' was malformed:\nParameter is not a valid value for epoch seconds: 1.5",
        ),
        (
            "name=a/b/c",
            "The query parameter 'name' was malformed:\n"
            "Parameter may be a 'simple' name or 'package-name/simple' name: a/b/c",
        ),
        ("docs=true&count=true", "The parameter 'docs' is not permitted with 'count'."),
    ],
)
async def test_query_errors(client: Client, query: str, text: str) -> None:
    answer = await client.get(f"activations?{query}")
    assert (answer.status, answer.error) == (400, text)


async def test_ids(client: Client) -> None:
    short = await client.get("activations/abc")
    assert (short.status, short.error) == (400, "Activation id length is 3 but must be 32.")
    bad = await client.get(f"activations/{'X' * 32}")
    assert (bad.status, bad.error) == (400, "The activation id is not valid.")
    gone = await client.get(f"activations/{'0' * 32}")
    assert (gone.status, gone.error) == (404, "The requested resource does not exist.")


async def test_foreign_records(local: InProcess, client: Client, other: Client) -> None:
    id_ = await store(local)
    assert (await other.get(f"activations/{id_}")).status == 404
    assert (await other.get(f"/api/v1/namespaces/guest/activations/{id_}")).status == 403
    assert (await other.get(f"/upwhisk/v1/activations/{id_}")).status == 404
    assert (await other.delete(f"/upwhisk/v1/activations/{id_}")).status == 404


async def test_live_state(local: InProcess, client: Client) -> None:
    id_ = new_activation_id()
    path = f"/upwhisk/v1/activations/{id_}"
    assert (await client.get(path)).status == 404
    local.live.states["guest", id_] = {"activationId": id_, "state": "running"}
    local.live.reasons["guest", id_] = {"chosen": "0"}
    assert (await client.get(path)).json["state"] == "running"
    assert (await client.get(f"{path}/why")).json == {"chosen": "0"}
    refused = await client.delete(path)
    assert (refused.status, refused.error) == (409, "The activation is on a node already; only what waits can be cancelled.")
    local.live.states["guest", id_]["state"] = "queued"
    assert (await client.delete(path)).json == {"activationId": id_, "cancelled": True}
    assert (await client.delete(path)).status == 404
    done = await store(local)
    assert (await client.get(f"/upwhisk/v1/activations/{done}")).json["state"] == "done"
    assert (await client.get(f"/upwhisk/v1/activations/{done}/why")).json["state"] == "done"
    late = await client.delete(f"/upwhisk/v1/activations/{done}")
    assert (late.status, late.error) == (409, "The activation has ended; only what waits can be cancelled.")
