"""Actions: create, update, get, list, delete. Sections 3, 4, 5, 18 of the REST specification."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest
from api.client import Client
from api.platform import InProcess

from upwhisk.common.model.identity import NamespaceLimits

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


EXEC_ERRORS: list[tuple[Any, str]] = [
    ({"code": "x"}, "'kind' must be a string defined in 'exec'"),
    ({"kind": 1, "code": "x"}, "'kind' must be a string defined in 'exec'"),
    (
        {"kind": "cobol:1", "code": "x"},
        "The specified runtime 'cobol:1' is not supported by this platform. Valid values are: '",
    ),
    (
        {"kind": "nodejs:20"},
        "'code' must be a string or attachment object defined in 'exec' for 'nodejs:20' actions",
    ),
    (
        {"kind": "nodejs:20", "code": 1},
        "'code' must be a string or attachment object defined in 'exec' for 'nodejs:20' actions",
    ),
    (
        {"kind": "nodejs:20", "code": "x", "main": 1},
        "'main' must be a string defined in 'exec' for 'nodejs:20' actions",
    ),
    ({"kind": "blackbox"}, "'image' must be a string defined in 'exec' for 'blackbox' actions"),
    ({"kind": "sequence"}, "'components' must be defined for sequence kind"),
    ({"kind": "sequence", "components": "x"}, "'components' must be an array"),
    ({"kind": "sequence", "components": []}, "No component specified for the sequence."),
]


@pytest.mark.parametrize(("exec_", "text"), EXEC_ERRORS)
async def test_exec_errors(client: Client, fresh: Fresh, exec_: Any, text: str) -> None:
    answer = await client.put(f"actions/{fresh('a')}", {"exec": exec_})
    assert answer.status == 400
    assert answer.error.startswith(text)


async def test_exec_is_needed_to_create(client: Client, fresh: Fresh) -> None:
    for body in ({}, {"exec": None}):
        answer = await client.put(f"actions/{fresh('a')}?overwrite=true", body)
        assert (answer.status, answer.error) == (400, "exec undefined")
    empty = await client.put(f"actions/{fresh('a')}")
    assert (empty.status, empty.error) == (400, "Request entity expected but not supplied")


async def test_blackbox(client: Client, fresh: Fresh) -> None:
    name = fresh("a")
    body = {"exec": {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": CODE}}
    exec_ = (await client.put(f"actions/{name}", body)).json["exec"]
    assert exec_ == {"kind": "blackbox", "image": "openwhisk/dockerskeleton", "code": CODE, "binary": False}
    bad = await client.put(f"actions/{fresh('a')}", {"exec": {"kind": "blackbox", "image": "No Image!"}})
    assert bad.status == 400
    assert "could not parse image name" in bad.error
    docker = await client.put(
        f"actions/{fresh('a')}", {"exec": {"kind": "blackbox", "image": "some/other:1"}}
    )
    assert docker.status == 400
    assert "needs --containers docker" in docker.error


async def test_kinds_that_cannot_run(local: InProcess, client: Client) -> None:
    deprecated = await client.put("actions/a", {"exec": {"kind": "python:2", "code": "x"}})
    text = "The 'python:2' runtime is no longer supported. You may read and delete but not update or invoke this action."
    assert (deprecated.status, deprecated.error) == (400, text)
    no_main = await client.put("actions/a", {"exec": {"kind": "java:21", "code": "x"}})
    assert no_main.error == "'main' must be a string defined in 'exec' for 'java:21' actions"
    missing = await client.put("actions/a", {"exec": {"kind": "ruby:3", "code": "x"}})
    assert missing.status == 400
    assert "ruby3" in missing.error


LIMIT_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"memory": 513}, "memory size 513 MB exceeds allowed threshold of 512 MB"),
    ({"memory": 127}, "memory size 127 MB below allowed threshold of 128 MB"),
    ({"logs": 11}, "log size 11 MB exceeds allowed threshold of 10 MB"),
    ({"logs": -1}, "log size -1 MB below allowed threshold of 0 MB"),
    ({"timeout": 300001}, "duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds"),
    ({"timeout": 99}, "duration 99 milliseconds below allowed threshold of 100 milliseconds"),
    ({"concurrency": 201}, "concurrency 201 exceeds allowed threshold of 200"),
    ({"concurrency": 0}, "concurrency 0 below allowed threshold of 1"),
    ({"instances": 31}, "Max action instance concurrency must not exceed your namespace concurrency of 30."),
    ({"instances": -1}, "Action container concurrency must be greater than or equal to 0."),
    ({"memory": "256"}, "The request content was malformed:\nmemory limit must be whole number"),
    ({"timeout": 1.5}, "The request content was malformed:\ntime limit must be whole number"),
    ({"logs": True}, "The request content was malformed:\nlog limit must be whole number"),
]


@pytest.mark.parametrize(("limits", "text"), LIMIT_ERRORS)
async def test_limit_errors(client: Client, fresh: Fresh, limits: dict[str, Any], text: str) -> None:
    answer = await client.put(f"actions/{fresh('a')}", python(limits=limits))
    assert (answer.status, answer.error) == (400, text)


async def test_instances_only_if_given(client: Client, fresh: Fresh) -> None:
    action = (await client.put(f"actions/{fresh('a')}", python(limits={"instances": 3}))).json
    assert action["limits"]["instances"] == 3


async def test_limits_and_kinds_of_the_namespace(local: InProcess, client: Client) -> None:
    await client.get("actions")
    limits = NamespaceLimits(max_action_memory=200, allowed_kinds=("nodejs:20",), concurrent_invocations=2)
    await local.subjects.put_limits("guest", limits)
    refused = await client.put("actions/a", python())
    assert (refused.status, refused.error) == (
        403,
        "The supplied authentication is not authorized to access actions of kind 'python:3.11'.",
    )
    node = {"exec": {"kind": "nodejs:20", "code": "x"}}
    assert (await client.put("actions/b", node)).json["limits"]["memory"] == 200
    too_much = await client.put("actions/c", {**node, "limits": {"memory": 256}})
    assert too_much.error == "memory size 256 MB exceeds allowed threshold of 200 MB"
    instances = await client.put("actions/c", {**node, "limits": {"instances": 3}})
    assert instances.error.endswith("namespace concurrency of 2.")


async def test_sizes(client: Client, fresh: Fresh) -> None:
    for field in ("parameters", "annotations"):
        answer = await client.put(
            f"actions/{fresh('a')}", python(**{field: [{"key": "k", "value": "v" * 2**20}]})
        )
        assert answer.status == 413
        assert answer.error == f"{field} larger than allowed: {2**20 + 3} > {2**20} bytes."
    code = await client.put(
        f"actions/{fresh('a')}", {"exec": {"kind": "python:3", "code": "x" * (48 * 2**20 + 1)}}
    )
    assert (code.status, code.error) == (413, "exec larger than allowed: 50331649 > 50331648 bytes.")


async def test_ten_thousand_small_parameters(client: Client, fresh: Fresh) -> None:
    many = [{"key": f"key{i}", "value": i} for i in range(10_000)]
    action = (await client.put(f"actions/{fresh('a')}", python(parameters=many))).json
    assert values(action["parameters"]) == {f"key{i}": i for i in range(10_000)}


MALFORMED_PARAMETERS: list[Any] = [
    1,
    "x",
    {"a": 1},
    [1],
    [{"key": "a"}],
    [{"value": 1}],
    [{"key": 1, "value": 1}],
    [{"key": "", "value": 1}],
]


@pytest.mark.parametrize("given", MALFORMED_PARAMETERS)
async def test_malformed_parameters(client: Client, fresh: Fresh, given: Any) -> None:
    answer = await client.put(f"actions/{fresh('a')}", python(parameters=given))
    assert (answer.status, answer.error) == (400, "parameters malformed!")


@pytest.mark.parametrize("network", ["none", "api", "outbound"])
async def test_network_annotation(client: Client, fresh: Fresh, network: str) -> None:
    annotations = [{"key": "network", "value": network}]
    answer = await client.put(f"actions/{fresh('a')}", python(annotations=annotations))
    if network != "outbound":  # some hosts cannot give it
        assert answer.status == 200
        assert values(answer.json["annotations"])["network"] == network


@pytest.mark.parametrize("network", ["internet", 1, True, ["none"]])
async def test_bad_network_annotation(client: Client, fresh: Fresh, network: Any) -> None:
    annotations = [{"key": "network", "value": network}]
    answer = await client.put(f"actions/{fresh('a')}", python(annotations=annotations))
    assert answer.status == 400
    assert answer.error.startswith("The annotation 'network' must be one of 'none', 'api', 'outbound', not ")


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


PAGE_ERRORS = [
    ("limit=201", "limit", "The value '201' is not in the range of 0 to 200 for {}."),
    ("limit=-1", "limit", "The value '-1' is not in the range of 0 to 200 for {}."),
    ("limit=x", "limit", "The value 'x' is not an integer for {}."),
    ("limit=99999999999999999999", "limit", "The value '99999999999999999999' is not an integer for {}."),
    ("skip=-1", "skip", "The value '-1' is not greater than or equal to 0 for {}."),
    ("skip=", "skip", "The value '' is not an integer for {}."),
    ("skip=1.5", "skip", "The value '1.5' is not an integer for {}."),
]


@pytest.mark.parametrize(("query", "name", "text"), PAGE_ERRORS)
async def test_paging_errors(client: Client, query: str, name: str, text: str) -> None:
    for collection in ("actions", "packages", "triggers", "rules", "activations"):
        answer = await client.get(f"{collection}?{query}")
        assert answer.status == 400
        assert answer.error == f"The query parameter '{name}' was malformed:\n{text.format(collection)}"


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
