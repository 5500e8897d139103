"""Ranges of keys, and what they are as URLs."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from upwhisk.backends.store.couchdb_views import (
    DESIGNS,
    Range,
    count_parameters,
    design_id,
    entity_range,
    is_empty,
    page_parameters,
    record_range,
)
from upwhisk.common.spi.store import ActivationQuery, EntityQuery

FIRST, LAST = -(2**53), 2**53


@pytest.mark.parametrize(
    ("query", "view", "prefix"),
    [
        ({"collection": "actions"}, "entities", ["ns", "action"]),
        ({"collection": "actions", "path": "ns/pkg"}, "packaged", ["ns/pkg", "action"]),
        ({"collection": "actions", "path": "ns"}, "packaged", ["ns", "action"]),
        ({"collection": "packages", "public_only": True}, "public", ["ns"]),
    ],
)
def test_ranges_of_entities(query: dict[str, Any], view: str, prefix: list[str]) -> None:
    asked = entity_range(EntityQuery(namespace="ns", **query), "action")
    assert asked == Range(view, prefix, FIRST, LAST)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, Range("records", ["ns"], FIRST, LAST)),
        ({"since": 5, "upto": 9}, Range("records", ["ns"], 5, 9)),
        ({"since": -(10**30), "upto": 10**30}, Range("records", ["ns"], FIRST, LAST)),
        ({"name": "pkg/a", "upto": 9}, Range("named", ["ns", "pkg/a"], FIRST, 9)),
    ],
)
def test_ranges_of_records(query: dict[str, Any], expected: Range) -> None:
    assert record_range(ActivationQuery(namespace="ns", **query)) == expected


def test_a_reversed_range_is_empty_and_never_asked() -> None:
    assert is_empty(record_range(ActivationQuery(namespace="ns", since=9, upto=5)))
    assert not is_empty(record_range(ActivationQuery(namespace="ns", since=5, upto=5)))


def test_parameters_are_json_from_high_to_low() -> None:
    asked = record_range(ActivationQuery(namespace="ns", since=5, upto=9))
    page = page_parameters(asked, limit=30, skip=60)
    assert (json.loads(page["startkey"]), json.loads(page["endkey"])) == (["ns", 9, {}], ["ns", 5])
    assert {key: page[key] for key in ("descending", "reduce", "include_docs", "limit", "skip")} == {
        "descending": "true",
        "reduce": "false",
        "include_docs": "true",
        "limit": "30",
        "skip": "60",
    }
    following = page_parameters(asked, limit=30, after=b'["ns",7,"ns/abc"]')
    assert (following["startkey"], following["skip"]) == ('["ns",7,"ns/abc"]', "1")
    assert "include_docs" not in count_parameters(asked)  # CouchDB refuses it beside a reduce


def test_the_longest_names_make_urls_that_couchdb_takes() -> None:
    name = "a" + "&" * 255
    asked = record_range(ActivationQuery(namespace=name, name=f"{name}/{name}"))
    last = json.dumps([*asked.prefix, 10**15, f"{name}/{'0' * 32}"]).encode()
    assert len(urlencode(page_parameters(asked, limit=200, skip=10**30, after=last))) < 7000
    packaged = entity_range(EntityQuery(namespace=name, collection="actions", path=f"{name}/{name}"), "action")
    last = json.dumps([*packaged.prefix, 10**15, f"{name}/{name}/{name}"]).encode()
    assert len(urlencode(page_parameters(packaged, limit=200, after=last))) < 7000


def test_design_documents_are_named_by_version() -> None:
    assert design_id("whisks", 3) == "_design/upwhisk-whisks.v3"
    assert set(DESIGNS) == {"whisks", "activations", "subjects"}
    for design in DESIGNS.values():
        assert design == json.loads(json.dumps(design))
        assert all(view["map"].startswith("function (doc) {") for view in design["views"].values())
