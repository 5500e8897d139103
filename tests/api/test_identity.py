"""Credentials, namespaces and limits: sections 1.4 and 13."""

from __future__ import annotations

import pytest
from api.client import Client, basic
from api.platform import GUEST, InProcess

from upwhisk.common.model.identity import NamespaceLimits

KNOWN = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502"


async def test_no_credentials(client: Client) -> None:
    for path in ("/api/v1/namespaces", "actions", "/upwhisk/v1/activations/x"):
        answer = await client.as_(None).get(path)
        assert answer.status == 401
        assert answer.error == "The resource requires authentication, which was not supplied with the request"
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="OpenWhisk secure realm",charset=UTF-8'


@pytest.mark.parametrize(
    "header",
    [
        basic(f"{KNOWN}:{'x' * 64}"),
        basic(f"{KNOWN}:short"),
        basic(f"00000000-0000-0000-0000-000000000000:{'a' * 64}"),
        basic("no-uuid:" + "a" * 64),
        basic(KNOWN),
        "Basic !!!",
        "Basic",
        "Bearer abc",
        "",
        "Basic " + "A" * 4000,
        "Basic é",
    ],
)
async def test_wrong_credentials(client: Client, header: str) -> None:
    answer = await client.as_(None).get("/api/v1/namespaces", headers={"Authorization": header})
    assert (answer.status, answer.error) == (401, "The supplied authentication is invalid")


async def test_namespaces(client: Client) -> None:
    for path in ("/api/v1/namespaces", "/api/v1/namespaces/"):
        assert (await client.get(path)).json == [client.target.namespace]
    for collection in ("actions", "packages", "triggers", "rules", "activations"):
        assert (await client.get(f"{collection}/")).status == 200


async def test_blocked_and_changed_subjects_lose_access_at_once(local: InProcess, client: Client) -> None:
    assert (await client.get("/api/v1/namespaces")).status == 200
    subject = await local.subjects.get("guest")
    assert subject is not None
    import msgspec

    await local.subjects.put(msgspec.structs.replace(subject, blocked=True))
    assert (await client.get("/api/v1/namespaces")).status == 401
    await local.subjects.put(subject)
    assert (await client.get("/api/v1/namespaces")).status == 200
    await local.subjects.delete("guest")
    assert (await client.get("/api/v1/namespaces")).error == "The supplied authentication is invalid"
    assert client.auth == GUEST


async def test_limits(local: InProcess, client: Client, other: Client) -> None:
    system = {
        "invocationsPerMinute": 60,
        "concurrentInvocations": 30,
        "firesPerMinute": 60,
        "minActionMemory": 128,
        "maxActionMemory": 512,
        "minActionLogs": 0,
        "maxActionLogs": 10,
        "minActionTimeout": 100,
        "maxActionTimeout": 300000,
        "minActionConcurrency": 1,
        "maxActionConcurrency": 200,
        "maxParameterSize": "1 MB",
        "maxActionInstances": 30,
    }
    assert (await client.get("limits")).json == system
    own = NamespaceLimits(
        invocations_per_minute=5,
        max_action_memory=4096,
        allowed_kinds=("nodejs:20",),
        max_payload_size="100 KB",
    )
    await local.subjects.put_limits("guest", own)
    expected = system | {"invocationsPerMinute": 5, "allowedKinds": ["nodejs:20"], "maxPayloadSize": "100 KB"}
    assert (await client.get("limits")).json == expected
    await local.subjects.delete_limits("guest")
    assert (await client.get("limits")).json == system


async def test_limits_refusals(client: Client, other: Client) -> None:
    space = client.target.namespace
    foreign = await other.get(f"/api/v1/namespaces/{space}/limits")
    assert (foreign.status, foreign.error) == (
        403,
        f"The supplied authentication is not authorized to access '{space}'.",
    )
    inner = await client.get("limits/concurrency")
    assert (inner.status, inner.error) == (
        400,
        "Inner entity level routes for limits are not yet implemented.",
    )
    assert (await client.put("limits", {})).status == 405


async def test_payload_limit_of_the_namespace(local: InProcess, client: Client) -> None:
    await client.put("triggers/t", {})
    await local.subjects.put_limits(
        "guest", NamespaceLimits(max_payload_size="1 KB", max_parameter_size="1 KB")
    )
    answer = await client.post("triggers/t", {"a": "x" * 2000})
    assert (answer.status, answer.error) == (413, "Request larger than allowed: 2008 > 1024 bytes.")
    parameters = await client.put(
        "triggers/t?overwrite=true", {"parameters": [{"key": "a", "value": "x" * 2000}]}
    )
    assert (parameters.status, parameters.error) == (
        413,
        "parameters larger than allowed: 2003 > 1024 bytes.",
    )
