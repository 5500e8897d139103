"""Triggers and rules: sections 9 and 10. What a fire runs is in `test_invoke.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from api.client import Client

Fresh = Callable[[str], str]
PYTHON = {"exec": {"kind": "python:3", "code": "def main(args): return args"}}


async def made(client: Client, fresh: Fresh) -> tuple[str, str, str]:
    """A trigger, an action, and a name for a rule."""
    trigger, action = fresh("t"), fresh("a")
    await client.put(f"triggers/{trigger}", {})
    await client.put(f"actions/{action}", PYTHON)
    return trigger, action, fresh("r")


def rule(trigger: str, action: str, **more: Any) -> dict[str, Any]:
    return {"trigger": f"/_/{trigger}", "action": f"/_/{action}", **more}


async def test_life_of_a_trigger(client: Client, fresh: Fresh) -> None:
    name = fresh("t")
    body = {
        "name": name,
        "parameters": [{"key": "a", "value": 1}],
        "annotations": [{"key": "feed", "value": "/ns/p/f"}],
    }
    trigger = (await client.put(f"triggers/{name}", body)).json
    assert trigger.pop("updated") > 0
    assert trigger == {
        "namespace": client.target.namespace,
        "name": name,
        "version": "0.0.1",
        "publish": False,
        "annotations": [{"key": "feed", "value": "/ns/p/f"}],
        "parameters": [{"key": "a", "value": 1}],
        "limits": {},
    }
    unchanged = (await client.put(f"triggers/{name}?overwrite=true", {"name": name})).json
    assert (unchanged["parameters"], unchanged["version"]) == (trigger["parameters"], "0.0.2")
    assert unchanged["annotations"] == trigger["annotations"]
    replaced = (await client.put(f"triggers/{name}?overwrite=true", {"annotations": []})).json
    assert replaced["annotations"] == []
    rows = (await client.get("triggers?limit=0")).json
    row = next(r for r in rows if r["name"] == name)
    assert set(row) == {"namespace", "name", "version", "publish", "annotations", "updated"}
    assert (await client.put(f"triggers/{name}", {})).error == "resource already exists"
    assert (await client.delete(f"triggers/{name}")).json["name"] == name
    assert (await client.get(f"triggers/{name}")).status == 404


@pytest.mark.parametrize("feed", [1, "", "/a/b/c/d", "a b ", None])
async def test_bad_feeds(client: Client, fresh: Fresh, feed: Any) -> None:
    answer = await client.put(f"triggers/{fresh('t')}", {"annotations": [{"key": "feed", "value": feed}]})
    assert (answer.status, answer.error) == (400, "Feed name is not valid")


async def test_fire_without_active_rules(client: Client, fresh: Fresh) -> None:
    trigger, action, name = await made(client, fresh)
    for _ in range(2):
        answer = await client.post(f"triggers/{trigger}", {"a": 1})
        assert (answer.status, answer.body) == (204, b"")
        assert "x-openwhisk-activation-id" not in answer.headers
        await client.put(f"rules/{name}?overwrite=true", rule(trigger, action))
        await client.post(f"rules/{name}", {"status": "inactive"})
    assert (await client.post(f"triggers/{fresh('t')}", {})).status == 404


async def test_fire(client: Client, fresh: Fresh) -> None:
    trigger, action, name = await made(client, fresh)
    await client.put(f"rules/{name}", rule(trigger, action))
    fired = await client.post(f"triggers/{trigger}")
    assert fired.status == 202
    assert fired.json == {"activationId": fired.headers["x-openwhisk-activation-id"]}
    large = await client.post(f"triggers/{trigger}", {"a": "x" * 2**20})
    assert large.status == 413
    assert large.error.startswith("Request larger than allowed: ")


async def test_life_of_a_rule(client: Client, fresh: Fresh) -> None:
    trigger, action, name = await made(client, fresh)
    space = client.target.namespace
    created = (await client.put(f"rules/{name}", rule(trigger, action, status="", extra=None))).json
    assert created.pop("updated") > 0
    assert created == {
        "namespace": space,
        "name": name,
        "version": "0.0.1",
        "publish": False,
        "annotations": [],
        "trigger": {"path": space, "name": trigger},
        "action": {"path": space, "name": action},
        "status": "active",
    }
    seen = (await client.get(f"triggers/{trigger}")).json
    link = {"action": {"path": space, "name": action}, "status": "active"}
    assert seen["rules"] == {f"{space}/{name}": link}
    row = next(r for r in (await client.get("rules?limit=0")).json if r["name"] == name)
    assert "status" not in row
    for status in ("inactive", "inactive", "active"):
        answer = await client.post(f"rules/{name}", {"status": status, "trigger": None, "action": None})
        assert (answer.status, answer.body) == (200, b"OK")
        assert (await client.get(f"rules/{name}")).json["status"] == status
    assert (await client.put(f"rules/{name}", rule(trigger, action))).error == "resource already exists"
    deleted = (await client.delete(f"rules/{name}")).json
    assert (deleted["name"], deleted["status"]) == (name, "inactive")
    assert "rules" not in (await client.get(f"triggers/{trigger}")).json


async def test_update_keeps_the_status_and_moves_the_link(client: Client, fresh: Fresh) -> None:
    trigger, action, name = await made(client, fresh)
    second = fresh("t")
    await client.put(f"triggers/{second}", {})
    await client.put(f"rules/{name}", rule(trigger, action))
    await client.post(f"rules/{name}", {"status": "inactive"})
    moved = (
        await client.put(f"rules/{name}?overwrite=true", {"trigger": {"path": "_", "name": second}})
    ).json
    assert (moved["status"], moved["version"]) == ("inactive", "0.0.2")
    assert moved["trigger"]["name"] == second
    assert moved["action"]["name"] == action
    assert "rules" not in (await client.get(f"triggers/{trigger}")).json
    assert len((await client.get(f"triggers/{second}")).json["rules"]) == 1
    assert len((await client.put(f"triggers/{second}?overwrite=true", {})).json["rules"]) == 1


async def test_a_rule_without_its_trigger(client: Client, fresh: Fresh) -> None:
    trigger, action, name = await made(client, fresh)
    await client.put(f"rules/{name}", rule(trigger, action))
    await client.delete(f"triggers/{trigger}")
    assert (await client.get(f"rules/{name}")).json["status"] == "inactive"
    answer = await client.post(f"rules/{name}", {"status": "active"})
    assert (answer.status, answer.error) == (404, "Only rules with existing triggers can be activated")
    updated = await client.put(f"rules/{name}?overwrite=true", {})
    assert updated.status == 400
    await client.put(f"triggers/{trigger}", {})
    assert (await client.get(f"rules/{name}")).json["status"] == "inactive"
    assert (await client.post(f"rules/{name}", {"status": "active"})).status == 200
    assert (await client.get(f"rules/{name}")).json["status"] == "active"
    assert (await client.delete(f"rules/{name}")).status == 200


async def test_rule_refusals(client: Client, other: Client, fresh: Fresh) -> None:
    trigger, action, name = await made(client, fresh)
    space = client.target.namespace
    for body in (
        {},
        {"trigger": f"/_/{trigger}"},
        {"action": f"/_/{action}"},
        {"trigger": None, "action": None},
    ):
        answer = await client.put(f"rules/{name}", body)
        assert (answer.status, answer.error) == (400, "rule requires a valid trigger and a valid action")
    no_trigger = await client.put(f"rules/{name}", rule("none", action))
    assert (no_trigger.status, no_trigger.error) == (400, f"trigger /{space}/none does not exist")
    no_action = await client.put(f"rules/{name}", rule(trigger, "none"))
    assert (no_action.status, no_action.error) == (400, f"action /{space}/none does not exist")
    bare = await client.put(f"rules/{name}", {"trigger": trigger, "action": f"/_/{action}"})
    assert bare.status == 400
    assert bare.error.endswith(
        "The fully qualified name of the entity must contain at least the namespace and the name of the entity."
    )
    for named in ({"trigger": f"/{space}/{trigger}", "action": "/_/x"}, rule(trigger, action)):
        there = (
            f"/api/v1/namespaces/{space}/rules/{name}" if named == rule(trigger, action) else f"rules/{name}"
        )
        assert (await other.put(there, named)).status == 403
    assert (await client.put(f"rules/{name}", {"trigger": 1, "action": 2})).status == 400
    assert (await client.post(f"rules/{fresh('r')}", {"status": "active"})).status == 404
    await client.put(f"rules/{name}", rule(trigger, action))
    wrong: list[Any] = [{"status": "maybe"}, {"status": None}, {}, [1]]
    for body in wrong:
        assert (await client.post(f"rules/{name}", body)).status == 400
    assert (await client.post(f"rules/{name}")).error == "Request entity expected but not supplied"


async def test_many_rules_on_one_trigger_at_once(client: Client, fresh: Fresh) -> None:
    trigger, action, _ = await made(client, fresh)
    names = [fresh("r") for _ in range(80)]
    answers = await asyncio.gather(*(client.put(f"rules/{n}", rule(trigger, action)) for n in names))
    assert [a.status for a in answers] == [200] * 80
    assert len((await client.get(f"triggers/{trigger}")).json["rules"]) == 80
    await asyncio.gather(*(client.post(f"rules/{n}", {"status": "inactive"}) for n in names[:10]))
    links = (await client.get(f"triggers/{trigger}")).json["rules"]
    assert sum(link["status"] == "active" for link in links.values()) == 70
    gone = await asyncio.gather(*(client.delete(f"rules/{n}") for n in names))
    assert [a.status for a in gone] == [200] * 80
    assert "rules" not in (await client.get(f"triggers/{trigger}")).json


async def test_foreign_triggers_and_rules(client: Client, other: Client, fresh: Fresh) -> None:
    trigger, _, _ = await made(client, fresh)
    space = client.target.namespace
    for method in ("GET", "PUT", "DELETE", "POST"):
        for collection in ("triggers", "rules"):
            answer = await other.call(method, f"/api/v1/namespaces/{space}/{collection}/{trigger}", {})
            text = f"The supplied authentication is not authorized to access '{space}/{trigger}'."
            assert (answer.status, answer.error) == (403, text)
    for collection in ("triggers", "rules", "activations"):
        answer = await other.get(f"/api/v1/namespaces/{space}/{collection}")
        assert answer.error == f"The supplied authentication is not authorized to access '{space}'."
