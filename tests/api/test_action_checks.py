"""What a PUT of an action may not say, and how lists are paged."""

from __future__ import annotations

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
