"""Packages: section 8, without bindings."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from api.client import Client

Fresh = Callable[[str], str]
PYTHON = {"exec": {"kind": "python:3", "code": "def main(args): return args"}}


async def test_life_of_a_package(client: Client, fresh: Fresh) -> None:
    name = fresh("p")
    body = {
        "parameters": [{"key": "a", "value": 1}],
        "annotations": [{"key": "binding", "value": "forged"}],
        "binding": {},
    }
    package = (await client.put(f"packages/{name}", body)).json
    assert package.pop("updated") > 0
    assert package == {
        "namespace": client.target.namespace,
        "name": name,
        "version": "0.0.1",
        "publish": False,
        "annotations": [],
        "parameters": [{"key": "a", "value": 1}],
        "binding": {},
    }
    assert (await client.put(f"packages/{name}", {})).error == "resource already exists"
    updated = (await client.put(f"packages/{name}?overwrite=true", {"publish": True})).json
    assert (updated["version"], updated["publish"]) == ("0.0.2", True)
    assert updated["parameters"] == [{"key": "a", "value": 1}]
    deleted = await client.delete(f"packages/{name}")
    assert (deleted.status, deleted.json["name"]) == (200, name)
    assert "actions" not in deleted.json
    for call in (client.get, client.delete):
        gone = await call(f"packages/{name}")
        text = f"The requested resource '{client.target.namespace}/{name}' does not exist."
        assert (gone.status, gone.error) == (404, text)


async def test_contents(client: Client, fresh: Fresh) -> None:
    name = fresh("p")
    await client.put(f"packages/{name}", {})
    await client.put(f"actions/{name}/plain", PYTHON)
    await client.put(f"actions/{name}/feed", {**PYTHON, "annotations": [{"key": "feed", "value": True}]})
    package = (await client.get(f"packages/{name}")).json
    assert [a["name"] for a in package["actions"]] == ["plain"]
    assert [a["name"] for a in package["feeds"]] == ["feed"]
    assert set(package["actions"][0]) == {"name", "version", "annotations"}
    full = await client.delete(f"packages/{name}")
    text = "Package not empty (contains 2 entities). Set force param or delete package contents."
    assert (full.status, full.error) == (409, text)
    await client.delete(f"actions/{name}/feed")
    one = await client.delete(f"packages/{name}")
    assert one.error == "Package not empty (contains 1 entity). Set force param or delete package contents."
    assert (await client.delete(f"packages/{name}?force=true")).status == 200
    assert (await client.get(f"actions/{name}/plain")).status == 404


async def test_refusals(client: Client, fresh: Fresh) -> None:
    reserved = await client.put("packages/default", {})
    assert (reserved.status, reserved.error) == (400, "Package name 'default' is reserved.")
    binding = await client.put(f"packages/{fresh('b')}", {"binding": {"namespace": "_", "name": "p"}})
    assert (binding.status, binding.error) == (501, "Binding packages is not available yet")
    assert (await client.put(f"packages/{fresh('b')}", {"binding": 1})).status == 400
    name = fresh("t")
    await client.put(f"triggers/{name}", {})
    answer = await client.get(f"packages/{name}")
    assert (answer.status, answer.error) == (
        409,
        "Resource by this name exists but is not in this collection.",
    )
    assert (await client.get(f"actions/{name}/")).status == 409
    assert (await client.put(f"actions/{name}/a", PYTHON)).status == 409


async def test_foreign_packages(client: Client, other: Client, fresh: Fresh) -> None:
    private, shared, trigger = fresh("p"), fresh("p"), fresh("t")
    space = client.target.namespace
    await client.put(f"packages/{private}", {})
    await client.put(f"packages/{shared}", {"publish": True})
    await client.put(f"triggers/{trigger}", {})
    there = f"/api/v1/namespaces/{space}/packages"
    for name in (private, "missing", trigger):
        answer = await other.get(f"{there}/{name}")
        text = f"The supplied authentication is not authorized to access '{space}/{name}'."
        assert (answer.status, answer.error) == (403, text)
    assert (await other.get(f"{there}/{shared}")).status == 200
    assert (await other.delete(f"{there}/{shared}")).status == 403
    rows = (await other.get(f"{there}?public=true&limit=0")).json
    assert shared in [r["name"] for r in rows]
    assert private not in [r["name"] for r in rows]
    assert all(r["binding"] is False for r in rows)
    assert (await other.get("/api/v1/namespaces/nobody-at-all/packages")).json == []


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_other_methods(client: Client, method: str) -> None:
    assert (await client.call(method, "packages/x")).status == 405
