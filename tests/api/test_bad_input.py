"""What is no proper request: bodies, headers, and bytes that are no HTTP at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from api.client import Client

Fresh = Callable[[str], str]
WRITES = [
    ("PUT", "actions/x"),
    ("POST", "actions/x"),
    ("PUT", "packages/x"),
    ("PUT", "triggers/x"),
    ("POST", "triggers/x"),
]
WRITES += [("PUT", "rules/x"), ("POST", "rules/x")]
JSON_HEADERS = {"Content-Type": "application/json"}


@pytest.fixture
async def known(client: Client) -> None:
    """The entities that the table above speaks of."""
    await client.put("actions/x", {"exec": {"kind": "python:3", "code": "def main(a): return a"}})


async def write(client: Client, method: str, path: str, body: bytes, **headers: str) -> Any:
    if path == "triggers/x" and method == "POST":
        await client.put("triggers/y?overwrite=true", {})
        path = "triggers/y"
    if path == "rules/x" and method == "POST":
        path = "rules/z"
    return await client.call(method, path, data=body, headers=JSON_HEADERS | headers)


MALFORMED = [
    b"{",
    b"nonsense",
    b"{'a': 1}",
    b'{"a": NaN}',
    b'{"a": Infinity}',
    b'{"a": 1e400}',
    b'{"a": 01}',
    b'{"a": 1,}',
    b'{"a": "\x01"}',
    b'{"a": 1} x',
    b"\xef\xbb\xbf{}",
    b'{"parameters": "\xff"}',
    b'{"parameters": "\\ud800"}',
    b" ",
    b"\x1f\x8b\x08",
]


@pytest.mark.parametrize("body", MALFORMED)
@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_malformed_json(client: Client, known: None, method: str, path: str, body: bytes) -> None:
    answer = await write(client, method, path, body)
    # What a body does not name is skipped unread, so nonsense inside may go unnoticed there.
    assert answer.status in (400, 200, 409), answer.body
    if body[:1] != b"{" or method == "POST" or (b"parameters" in body and path != "rules/x"):
        assert answer.status == 400
        assert answer.error.startswith("The request content was malformed:\n")


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("body", [b"[]", b"1", b'"x"', b"null", b"true"])
async def test_bodies_have_to_be_objects(
    client: Client, known: None, method: str, path: str, body: bytes
) -> None:
    answer = await write(client, method, path, body)
    assert (answer.status, answer.error) == (400, "The request content was malformed:\nJSON object expected")


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize("depth", [501, 600, 5000, 400_000])
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_nesting(
    client: Client, known: None, method: str, path: str, depth: int, opening: bytes
) -> None:
    closing = b"]" if opening == b"[" else b"}"
    depth = min(depth, 150_000) if len(opening) > 1 else depth
    body = b'{"parameters": ' + opening * (depth - 1) + b"1" + closing * (depth - 1) + b"}"
    answer = await write(client, method, path, body)
    text = "The request content was malformed:\nJSON is nested deeper than 500 levels"
    assert (answer.status, answer.error) == (400, text)


async def test_deep_is_not_too_deep(client: Client, fresh: Fresh) -> None:
    value = json.loads("[" * 496 + "]" * 496)
    answer = await client.put(f"triggers/{fresh('t')}", {"parameters": [{"key": "a", "value": value}]})
    assert answer.status == 200
    assert answer.json["parameters"][0]["value"] == value
    brackets = "[{" * 5000 + '\\"'
    text = await client.put(f"triggers/{fresh('t')}", {"parameters": [{"key": "a", "value": brackets}]})
    assert text.json["parameters"][0]["value"] == brackets


async def test_integers_may_be_as_long_as_python_reads_them(client: Client, known: None) -> None:
    """What a guest may answer, a caller may send."""
    for digits, status in ((4300, 200), (4301, 400)):
        body = f'{{"parameters": [{{"key": "n", "value": [{"1" * digits}]}}]}}'
        answer = await client.call("PUT", f"triggers/n{digits}", data=body.encode(), headers=JSON_HEADERS)
        assert answer.status == status
        if status == 400:
            assert answer.error.startswith("The request content was malformed:\n")


async def test_numbers_that_fit(client: Client, fresh: Fresh) -> None:
    numbers = [2**64, -(2**70), 10**30, 1e308, -0.5, 0.1]
    answer = await client.put(f"triggers/{fresh('t')}", {"parameters": [{"key": "n", "value": numbers}]})
    assert answer.json["parameters"][0]["value"] == numbers


async def test_equal_keys_keep_the_last(client: Client, fresh: Fresh) -> None:
    body = b'{"publish": true, "publish": false, "parameters": [{"key": "a", "value": {"b": 1, "b": 2}}]}'
    answer = await client.call("PUT", f"packages/{fresh('p')}", data=body, headers=JSON_HEADERS)
    assert answer.json["publish"] is False
    assert answer.json["parameters"] == [{"key": "a", "value": {"b": 2}}]


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_media_types(client: Client, known: None, method: str, path: str) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "x"):
        answer = await client.call(method, path, data=b"{}", headers={"Content-Type": content_type})
        text = f"The request's Content-Type [{content_type}] is not supported. Expected:\napplication/json"
        assert (answer.status, answer.error) == (415, text)
    zipped = await write(client, method, path, gzip.compress(b"{}"), **{"Content-Encoding": "gzip"})
    assert zipped.status == 415


@pytest.mark.parametrize("accept", ["text/html", "text/*, image/png;q=0.5", "application/json;q=0"])
async def test_accept(client: Client, accept: str) -> None:
    for caller, path in (
        (client, "actions"),
        (client.as_(None), "actions"),
        (client.as_(None), "/api/v1/nowhere"),
    ):
        answer = await caller.get(path, headers={"Accept": accept})
        assert answer.status == 406
        assert answer.error == "Resource representation is only available with these types:\napplication/json"


@pytest.mark.parametrize(
    "accept", ["application/json", "text/html, */*;q=0.1", "application/*", "APPLICATION/JSON; x=1", ""]
)
async def test_accept_json(client: Client, accept: str) -> None:
    assert (await client.get("actions", headers={"Accept": accept})).status == 200

MANY = ["x" * 20] * 100_000
OVERSIZED = [
    ("actions/x", {"delAnnotations": MANY}),
    ("actions/x", {"limits": {f"k{number}": 1 for number in range(10_000)}}),
    ("actions/x", {"publish": MANY}),
    ("actions/x", {"version": "1" * 100_000}),
    ("actions/x", {"exec": {"kind": "sequence", "components": MANY}}),
    ("packages/x", {"binding": {"name": "x" * 100_000}}),
    ("rules/oversized", {"trigger": "t" * 100_000, "action": "a"}),
]
WRONG = [
    ("actions/x", {"exec": {"kind": "python:3", "code": MANY}}),
    ("actions/x", {"exec": {"kind": "python:3", "code": "x", "main": MANY}}),
    ("actions/x", {"exec": {"kind": "k" * 1_000_000, "code": "x"}}),
    ("actions/x", {"exec": {"kind": "python:3", "code": "x"}, "annotations": [{"key": "network", "value": "n" * 500_000}]}),
]


def named(one: Any) -> str:
    return one if isinstance(one, str) else "-".join(one)


@pytest.mark.parametrize(("path", "body"), OVERSIZED, ids=named)
async def test_what_is_far_too_large_is_not_built(client: Client, known: None, path: str, body: Any) -> None:
    """Millions of small values would hold everybody up."""
    answer = await client.put(f"{path}?overwrite=true", body)
    assert answer.status == 400
    assert "more than the" in answer.error, "its size is what is wrong, before anything else"
    assert len(answer.body) < 2000


@pytest.mark.parametrize(("path", "body"), WRONG, ids=named)
async def test_long_nonsense_is_refused_in_few_words(client: Client, known: None, path: str, body: Any) -> None:
    answer = await client.put(f"{path}?overwrite=true", body)
    assert answer.status == 400
    assert len(answer.body) < 2000


async def test_many_annotations_may_be_removed_at_once(client: Client, known: None) -> None:
    answer = await client.put("actions/x?overwrite=true", {"delAnnotations": ["x" * 20] * 10_000})
    assert answer.status == 200
