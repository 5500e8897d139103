"""Actions: create, update, get, list, delete. Sections 3, 4, 5, 18 of the REST specification."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from api.client import Client

Fresh = Callable[[str], str]
CODE = "def main(args):\n    return args\n"


def python(**more: Any) -> dict[str, Any]:
    return {"exec": {"kind": "python:3", "code": CODE}, **more}


def values(pairs: list[dict[str, Any]]) -> dict[str, Any]:
    return {pair["key"]: pair["value"] for pair in pairs}


async def test_create_answers_the_stored_action(client: Client, fresh: Fresh) -> None:
    name = fresh("a")
    answer = await client.put(
        f"actions/{name}", python(parameters=[{"key": "a", "value": None}], namespace="x", nonsense=1)
    )
    assert answer.status == 200
    action = answer.json
    kind = action["exec"].pop("kind")
    assert kind.startswith("python:3.")
    assert action.pop("updated") > 1_700_000_000_000
    assert values(action.pop("annotations")) == {"provide-api-key": False, "exec": kind}
    assert action == {
        "namespace": client.target.namespace,
        "name": name,
        "exec": {"code": CODE, "binary": False},
        "parameters": [{"key": "a", "value": None}],
        "limits": {"timeout": 60000, "memory": 256, "logs": 10, "concurrency": 1},
        "version": "0.0.1",
        "publish": False,
    }
    assert (await client.get(f"actions/{name}")).json == (await client.get(f"actions/{name}?code=true")).json


async def test_get_without_code(client: Client, fresh: Fresh) -> None:
    name = fresh("a")
    await client.put(f"actions/{name}", python())
    got = (await client.get(f"actions/{name}?code=false")).json
    assert set(got["exec"]) == {"kind", "binary"}
    bad = await client.get(f"actions/{name}?code=maybe")
    assert (bad.status, bad.error) == (
        400,
        "The query parameter 'code' was malformed:\n'maybe' is not a valid Boolean value",
    )


async def test_main_and_binary(client: Client, fresh: Fresh) -> None:
    name = fresh("a")
    code = base64.b64encode(b"PK\x03\x04...").decode()
    body = {"exec": {"kind": " PYTHON:default ", "code": code, "main": "go", "binary": False}}
    action = (await client.put(f"actions/{name}", body)).json
    assert action["exec"]["binary"] is True
    assert action["exec"]["main"] == "go"
    assert action["exec"]["kind"].startswith("python:3.")


async def test_large_code_comes_back_whole(client: Client, fresh: Fresh) -> None:
    name = fresh("a")
    code = "# é\n" + "x = '{[' * 3\n" * 100_000
    await client.put(f"actions/{name}", {"exec": {"kind": "python:3", "code": code}})
    assert (await client.get(f"actions/{name}")).json["exec"]["code"] == code
    updated = (await client.put(f"actions/{name}?overwrite=true", {"limits": {"memory": 128}})).json
    assert updated["exec"]["code"] == code


async def test_no_overwrite_without_asking(client: Client, fresh: Fresh) -> None:
    name = fresh("a")
    await client.put(f"actions/{name}", python())
    again = await client.put(f"actions/{name}", python())
    assert (again.status, again.error) == (409, "resource already exists")
    bad = await client.put(f"actions/{name}?overwrite=yes", python())
    assert bad.status == 400
    assert bad.error.startswith("The query parameter 'overwrite' was malformed:\n")


async def test_update_keeps_and_replaces(client: Client, fresh: Fresh) -> None:
    name = fresh("a")
    await client.put(
        f"actions/{name}",
        python(
            parameters=[{"key": "a", "value": 1, "init": True}],
            annotations=[
                {"key": "x", "value": 1},
                {"key": "y", "value": 2},
                {"key": "exec", "value": "forged"},
            ],
            limits={"memory": 512},
            publish=True,
        ),
    )
    changes = {
        "annotations": [{"key": "y", "value": 3}],
        "delAnnotations": ["x"],
        "limits": {"timeout": 1000},
    }
    action = (await client.put(f"actions/{name}?overwrite=true", changes)).json
    assert action["version"] == "0.0.2"
    assert action["publish"] is True
    assert action["parameters"] == [{"key": "a", "value": 1, "init": True}]
    assert action["limits"] == {"timeout": 1000, "memory": 512, "logs": 10, "concurrency": 1}
    assert values(action["annotations"]) == {"y": 3, "exec": action["exec"]["kind"], "provide-api-key": False}
    assert action["exec"]["code"] == CODE
    cleared = (await client.put(f"actions/{name}?overwrite=true", {"parameters": [], "version": "2.1"})).json
    assert (cleared["parameters"], cleared["version"]) == ([], "2.1.0")


async def test_last_of_equal_keys_wins(client: Client, fresh: Fresh) -> None:
    twice = [{"key": "k", "value": 1}, {"key": "k", "value": {"deep": [1.5, "é"]}}]
    action = (await client.put(f"actions/{fresh('a')}", python(parameters=twice, annotations=twice))).json
    assert action["parameters"] == [{"key": "k", "value": {"deep": [1.5, "é"]}}]
    assert values(action["annotations"])["k"] == {"deep": [1.5, "é"]}


@pytest.mark.parametrize("version", ["0.0.0", "a", "1.2.3.4", "-1.0.0", 1, "1..2"])
async def test_bad_versions(client: Client, fresh: Fresh, version: Any) -> None:
    answer = await client.put(f"actions/{fresh('a')}", python(version=version))
    assert answer.status == 400
    assert answer.error.startswith("The request content was malformed:\n")


async def test_missing_versions_parts_read_as_zero(client: Client, fresh: Fresh) -> None:
    assert (await client.put(f"actions/{fresh('a')}", python(version="3"))).json["version"] == "3.0.0"


async def test_delete_answers_the_action(client: Client, fresh: Fresh) -> None:
    name = fresh("a")
    await client.put(f"actions/{name}", python())
    deleted = await client.delete(f"actions/{name}")
    assert (deleted.status, deleted.json["name"]) == (200, name)
    for call in (client.get, client.delete):
        gone = await call(f"actions/{name}")
        assert (gone.status, gone.error) == (404, "The requested resource does not exist.")
    assert (await client.put(f"actions/{name}", python())).json["version"] == "0.0.1"


async def test_other_collections_conflict(client: Client, fresh: Fresh) -> None:
    name = fresh("t")
    await client.put(f"triggers/{name}", {})
    for call in (client.get, client.delete, client.post):
        answer = await call(f"actions/{name}")
        assert (answer.status, answer.error) == (
            409,
            "Resource by this name exists but is not in this collection.",
        )
    answer = await client.put(f"actions/{name}?overwrite=true", python())
    assert answer.error == "Resource by this name exists but is not in this collection."


async def test_list(client: Client, fresh: Fresh) -> None:
    names = [fresh("a") for _ in range(3)]
    for name in names:
        await client.put(f"actions/{name}", python())
    rows = (await client.get("actions?limit=2&skip=0&docs=true")).json
    assert len(rows) == 2
    assert set(rows[0]) == {
        "namespace",
        "name",
        "version",
        "publish",
        "annotations",
        "limits",
        "exec",
        "updated",
    }
    assert rows[0]["exec"] == {"binary": False}
    everything = (await client.get("actions?limit=0")).json
    assert [r["updated"] for r in everything] == sorted((r["updated"] for r in everything), reverse=True)
    count = (await client.get("actions?count=true&skip=1")).json
    assert count == {"actions": (await client.get("actions?count=true")).json["actions"] - 1}
    assert set(names) <= {r["name"] for r in everything}


async def test_names(client: Client, fresh: Fresh) -> None:
    name = fresh("a b@c.d&e")
    encoded = name.replace(" ", "%20")
    assert (await client.put(f"actions/{encoded}", python())).json["name"] == name
    assert (
        await client.get(f"/api/v1/namespaces/{client.target.namespace}/actions/{encoded}?")
    ).status == 200


NAME_ERRORS = [
    ("/api/v1/namespaces/_/actions/a%2Fb", "The name of the entity contains illegal characters."),
    ("/api/v1/namespaces/_/actions/a%20", "The name of the entity contains illegal characters."),
    ("/api/v1/namespaces/_/actions/-a", "The name of the entity contains illegal characters."),
    ("/api/v1/namespaces/_/triggers/%FF", "The name of the entity contains illegal characters."),
    ("/api/v1/namespaces/_/rules/%E2%82%AC", "The name of the entity contains illegal characters."),
    ("/api/v1/namespaces/_/packages/%zz", "The name of the entity contains illegal characters."),
    ("/api/v1/namespaces/_/actions/" + "x" * 257, "Name segement longer than allowed: 257 > 256."),
    ("/api/v1/namespaces/" + "n" * 257 + "/actions", "Namespace longer than allowed: 257 > 256."),
    ("/api/v1/namespaces/n!/actions", "The namespace contains illegal characters."),
]


@pytest.mark.parametrize(("path", "text"), NAME_ERRORS)
async def test_bad_names_win_over_missing_credentials(client: Client, path: str, text: str) -> None:
    for caller in (client, client.as_(None)):
        answer = await caller.get(path)
        assert (answer.status, answer.error) == (400, text)


async def test_racing_updates_lose_nothing(client: Client, fresh: Fresh) -> None:
    name = fresh("a")
    await client.put(f"actions/{name}", python())
    body = {"annotations": [{"key": "n", "value": 1}]}
    answers = await asyncio.gather(*(client.put(f"actions/{name}?overwrite=true", body) for _ in range(20)))
    won = [a for a in answers if a.status == 200]
    assert {a.error for a in answers if a.status != 200} <= {"Concurrent modification to resource detected."}
    assert len({a.json["version"] for a in won}) == len(won)
    assert (await client.get(f"actions/{name}")).json["version"] == f"0.0.{len(won) + 1}"


async def test_packaged_actions(client: Client, fresh: Fresh) -> None:
    package, name = fresh("p"), fresh("a")
    missing = await client.put(f"actions/{package}/{name}", python())
    assert (missing.status, missing.error) == (404, "The requested resource does not exist.")
    await client.put(f"packages/{package}", {})
    action = (await client.put(f"actions/{package}/{name}", {**python(), "name": f"{package}/{name}"})).json
    assert (action["namespace"], action["name"]) == (f"{client.target.namespace}/{package}", name)
    assert (await client.get(f"actions/{package}/{name}")).json == action
    rows = (await client.get(f"actions/{package}/?limit=30&skip=0")).json
    assert [(r["namespace"], r["name"]) for r in rows] == [(action["namespace"], name)]
    assert (await client.get(f"actions/{package}/?count=true")).json == {"actions": 1}
    assert name in [r["name"] for r in (await client.get("actions?limit=0")).json]
    assert (await client.delete(f"actions/{package}/{name}")).status == 200


async def test_foreign_actions(client: Client, other: Client, fresh: Fresh) -> None:
    package, name, plain = fresh("p"), fresh("a"), fresh("a")
    space = client.target.namespace
    await client.put(f"packages/{package}", {})
    await client.put(f"actions/{package}/{name}", python())
    await client.put(f"actions/{plain}", python())
    refusal = "The supplied authentication is not authorized to access '{}'."
    for path, resource in (
        (f"actions/{plain}", f"{space}/{plain}"),
        (f"actions/{package}/{name}", f"{space}/{package}"),
        (f"actions/{package}/", f"{space}/{package}"),
        ("actions/nothing", f"{space}/nothing"),
        ("actions/nothing/at-all", f"{space}/nothing"),
        ("actions", space),
    ):
        answer = await other.get(f"/api/v1/namespaces/{space}/{path}")
        assert (answer.status, answer.error) == (403, refusal.format(resource))
    await client.put(f"packages/{package}?overwrite=true", {"publish": True})
    shared = f"/api/v1/namespaces/{space}/actions/{package}"
    assert (await other.get(f"{shared}/{name}")).status == 200
    assert len((await other.get(f"{shared}/")).json) == 1
    assert (await other.get(f"{shared}/missing")).status == 404
    for call in (other.put, other.delete):
        answer = await call(f"{shared}/{name}", json=python())
        assert (answer.status, answer.error) == (403, refusal.format(f"{space}/{package}"))
    await client.put(f"packages/{package}?overwrite=true", {"publish": False})
    assert (await other.get(f"{shared}/{name}")).status == 403
