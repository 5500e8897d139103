"""Entities, subjects and limits as documents, both ways."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest
from fakes.json_servers import SERVERS
from fakes.samples import document
from hypothesis import given, settings
from hypothesis import strategies as st

from upwhisk.backends.store.couchdb_documents import (
    entity_fields,
    entity_of,
    limits_fields,
    limits_of,
    subject_fields,
    subject_of,
)
from upwhisk.backends.store.couchdb_json import document_key, id_of, is_taken
from upwhisk.backends.store.sealing import Sealer
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.model.action import Action, Exec
from upwhisk.common.model.action import to_document as action_document
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.model.package import Binding, Package
from upwhisk.common.model.package import to_document as package_document
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import Collection

KEYS = st.text(max_size=4) | st.sampled_from(["_id", "_rev", "name", "updated", "upwhisk", "entityType", "7", "__proto__"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.just(10**400) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["guest", "_team", "a b@c.d", "A&B", "x-1_", "whisk.system"])
SEALER = Sealer(b"k" * 32)


def given_back(fields: dict[str, Any], server: str) -> dict[str, Any]:
    sent = msgspec.json.encode(fields)
    assert is_taken(sent)
    stored = json.loads(SERVERS[server](sent))
    return {**stored, "_rev": "1-abc"}


def as_json(fields: dict[str, Any]) -> Any:
    return json.loads(msgspec.json.encode(fields))


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types: 1 is not 1.0."""
    return msgspec.json.encode(left, order="sorted") == msgspec.json.encode(right, order="sorted")


@pytest.mark.parametrize("server", SERVERS)
@settings(max_examples=40)
@given(body=st.dictionaries(KEYS, VALUES, max_size=4), path=st.lists(NAMES, min_size=3, max_size=3), data=st.data())
def test_any_entity(server: str, body: dict[str, Any], path: list[str], data: st.DataObject) -> None:
    namespace, middle, name = path
    collection = data.draw(st.sampled_from(get_args(Collection)))
    package = data.draw(st.sampled_from([middle, None]))
    written = document(name, namespace=namespace, package=package, collection=collection, body=body)
    found = entity_of(given_back(entity_fields(written), server))
    assert found is not None
    assert same(found.body, body)
    assert msgspec.structs.replace(found, body={}) == msgspec.structs.replace(written, body={}, revision="1-abc")


def test_an_action_has_the_fields_of_openwhisk() -> None:
    action = Action(
        name=EntityName("guest", "tools", "hello"),
        exec=Exec("python:3.11", code="x"),
        parameters=(Parameter("a", 1),),
        updated=5,
    )
    assert as_json(entity_fields(action_document(action))) == {
        "_id": "guest/tools/hello",
        "entityType": "action",
        "namespace": "guest/tools",
        "name": "hello",
        "updated": 5,
        "version": "0.0.1",
        "publish": False,
        "annotations": [],
        "parameters": [{"key": "a", "value": 1}],
        "exec": {"kind": "python:3.11", "code": "x"},
        "limits": {"timeout": 60000, "memory": 256, "logs": 10, "concurrency": 1},
    }


def test_a_binding() -> None:
    package = Package(name=EntityName("guest", None, "mine"), binding=Binding("whisk.system", "tools"))
    fields = entity_fields(package_document(package))
    assert (fields["entityType"], fields["binding"]) == ("package", {"namespace": "whisk.system", "name": "tools"})


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (b'{"a":%b}' % (b"9" * 308), True),
        (b'{"a":%b}' % (b"9" * 309), False),
        (b"[1, -%b]" % (b"9" * 309), False),
        (b'{"a":"%b"}' % (b"9" * 309), True),
        (b'{"a\\"%b\\\\":[1]}' % (b"9" * 309), True),
        (b'{"\\\\":%b}' % (b"9" * 309), False),
    ],
)
def test_numbers_that_couchdb_can_measure(text: bytes, taken: bool) -> None:
    json.loads(text)
    assert is_taken(text) is taken


def test_a_document_that_is_no_entity() -> None:
    for fields in ({}, {"entityType": "x", "namespace": "a", "name": "b"}, {"entityType": "action"}):
        assert entity_of({"_id": "a/b", "_rev": "1-a", **fields}) is None


def test_an_id_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="fit together"):
        entity_fields(msgspec.structs.replace(document(), id="other/hello"))


@settings(max_examples=40)
@given(st.text(max_size=20))
def test_ids_have_keys_that_couchdb_takes(id: str) -> None:
    assert id_of(document_key(id)) == id
    assert not document_key(id).startswith("_")


@settings(max_examples=40)
@given(
    st.lists(st.builds(NamespaceKey, NAMES, st.uuids().map(str), st.text(max_size=80)), max_size=3),
    st.booleans(),
)
def test_any_subject(keys: list[NamespaceKey], blocked: bool) -> None:
    subject = Subject("anna.m", tuple(keys), blocked=blocked)
    fields = subject_fields(subject, SEALER)
    assert subject_of(fields, SEALER) == subject
    assert ("blocked" in fields) == blocked


def test_keys_are_not_readable() -> None:
    subject = Subject("anna.m", (NamespaceKey("anna.m", "u-1", "s3cr3t" * 11),))
    fields = subject_fields(subject, SEALER)
    assert "s3cr3t" not in json.dumps(fields)
    assert (fields["subject"], fields["namespaces"][0]["uuid"]) == ("anna.m", "u-1")
    with pytest.raises(ConfigurationError, match=r"couchdb\.key_file"):
        subject_of(fields, Sealer(b"o" * 32))
    moved = {**fields, "namespaces": [{**fields["namespaces"][0], "uuid": "u-2"}]}
    with pytest.raises(ConfigurationError, match=r"couchdb\.key_file"):
        subject_of(moved, SEALER)


def test_an_unsealed_subject_of_openwhisk() -> None:
    fields = {"_id": "a.b", "subject": "a.b", "namespaces": [{"name": "a.b", "uuid": "u", "key": "k" * 64}]}
    assert subject_of(fields, SEALER) == Subject("a.b", (NamespaceKey("a.b", "u", "k" * 64),))


def test_other_documents_are_no_subjects() -> None:
    limits = NamespaceLimits(fires_per_minute=1, allowed_kinds=("python:3",))
    fields = limits_fields("guest", limits)
    assert as_json(fields) == {"_id": "guest/limits", "firesPerMinute": 1, "allowedKinds": ["python:3"]}
    assert subject_of(fields, SEALER) is None
    assert limits_of({**fields, "_rev": "1-a", "somethingNewer": 1}) == limits
