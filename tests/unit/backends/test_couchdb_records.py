"""A record comes back byte for byte, whatever the database makes of its JSON."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from fakes.json_servers import SERVERS
from fakes.samples import record
from hypothesis import given, settings
from hypothesis import strategies as st

from upwhisk.backends.store.couchdb_json import is_taken
from upwhisk.backends.store.couchdb_records import LARGE, RECORD, StoredRecord, attached, record_of, stored
from upwhisk.common.model.activation import Activation, encode_record, succeeded
from upwhisk.common.model.parameters import Parameter

KEYS = st.sampled_from(["a", "b", "10", "2", "__proto__", "", "ü", "_id", "upwhisk"])
NUMBERS = st.integers(-(2**70), 2**70) | st.sampled_from([10**308, -(10**308), 10**400]) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
RESULTS = st.dictionaries(KEYS, VALUES, max_size=4) | st.lists(VALUES, max_size=4)


def raw(text: bytes) -> Activation:
    return msgspec.structs.replace(record(), response=succeeded(msgspec.Raw(text)))


def given_back(row: StoredRecord, server: str) -> bytes | None:
    assert is_taken(row.document)
    return record_of(SERVERS[server](row.document))


@pytest.mark.parametrize("server", SERVERS)
@settings(max_examples=40)
@given(result=RESULTS)
def test_any_result(server: str, result: Any) -> None:
    written = record(result=result)
    assert given_back(stored(written), server) == encode_record(written)


@pytest.mark.parametrize("server", SERVERS)
@settings(max_examples=40)
@given(result=RESULTS, indent=st.sampled_from([None, 2]), escape=st.booleans())
def test_a_guests_own_text(server: str, result: Any, indent: int | None, escape: bool) -> None:
    written = raw(json.dumps(result, indent=indent, ensure_ascii=escape).encode())
    assert given_back(stored(written), server) == encode_record(written)


@pytest.mark.parametrize("server", SERVERS)
@settings(max_examples=40)
@given(value=VALUES)
def test_any_annotation(server: str, value: Any) -> None:
    written = record(annotations=(Parameter("path", "guest/hello"), Parameter("limits", value)))
    assert given_back(stored(written), server) == encode_record(written)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(
    "text",
    [
        b'{"a":"\\ud800"}',
        b'{"n":1e400}',
        b'{"n":1e3,"m":1E-7,"z":-0,"y":-0.0}',
        b'{"a":1,"a":2}',
        b'{"deep":' + b"[" * 1500 + b"]" * 1500 + b"}",
        b'{"a":"\\/\\u00e9"}',
        b"[12345678901234567890123]",
        b'{\n  "a" : [ 1.0,\t2 ]\r\n}',
    ],
)
def test_texts_that_parsers_change_or_refuse(server: str, text: bytes) -> None:
    row = stored(raw(text))
    msgspec.json.decode(row.document)  # refuses what CouchDB refuses: 1e400, half of a surrogate pair
    assert given_back(row, server) == encode_record(row.record)


def test_a_usual_record_has_the_fields_and_no_copy() -> None:
    fields = json.loads(stored(record(result={"a": [1, 1.5, "x", None]})).document)
    assert fields.pop("_id") == f"guest/{fields['activationId']}"
    assert set(fields.pop("upwhisk")) == {"size"}
    assert fields["response"]["result"] == {"a": [1, 1.5, "x", None]}
    assert {"namespace", "name", "version", "subject", "start", "end", "duration", "logs", "annotations"} < set(fields)


def test_a_result_with_blanks_is_there_to_read_too() -> None:
    fields = json.loads(stored(raw(b'{"a": 1}')).document)
    assert fields["response"]["result"] == {"a": 1}
    assert fields["upwhisk"]["result"] == '{"a": 1}'
    assert "record" not in fields["upwhisk"]


def test_numbers_that_couchdb_cannot_measure_are_texts() -> None:
    usual = Parameter("path", "guest/hello")
    written = record(result={"n": 10**400}, annotations=(usual, Parameter("limits", 10**400)))
    for row in (stored(written), attached(written)):
        assert is_taken(row.document)
        assert json.loads(row.document)["annotations"] == [{"key": "path", "value": "guest/hello"}]
    assert not is_taken(encode_record(written))


def test_a_large_record_is_an_attachment() -> None:
    written = record(logs=("x" * LARGE,), result={"a": 1})
    row = stored(written)
    assert row.attachment == encode_record(written)
    fields = json.loads(row.document)
    assert (fields["logs"], "result" in fields["response"]) == ([], False)
    assert fields["upwhisk"]["size"] == len(encode_record(written))
    fields["_attachments"] = {RECORD: {"stub": True}}
    assert record_of(json.dumps(fields).encode()) is None


def test_a_refused_record_can_be_an_attachment() -> None:
    row = attached(record())
    assert row.attachment == encode_record(row.record)
    assert len(row.document) < len(row.attachment) + 100


@pytest.mark.parametrize("id", ["", "x", "A" * 32, "../" + "a" * 29])
def test_what_is_no_id_is_refused(id: str) -> None:
    with pytest.raises(ValueError, match="no activation id"):
        stored(msgspec.structs.replace(record(), activation_id=id))


def test_namespaces_that_begin_with_an_underscore() -> None:
    row = stored(record(namespace="_team"))
    assert json.loads(row.document)["_id"].startswith(":_team/")
    assert record_of(row.document) == encode_record(row.record)
