"""Texts of /init, results and requirements, without a process."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.runtimes.proxy.upwhisk_guest.initialise import Refused, as_text, decode_base64, parse_init
from upwhisk.runtimes.proxy.upwhisk_guest.outcome import encode_result
from upwhisk.runtimes.proxy.upwhisk_guest.requirements import missing

TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(data=st.binary(max_size=200))
def test_base64(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode()) == data
    assert decode_base64(base64.encodebytes(data).decode()) == data


@pytest.mark.parametrize(
    ("text", "at"), [("!!", 0), ("QUJ!", 3), ("QUJ", 3), ("QUJD=", 4), ("QU=D", 2), ("====", 0), ("é", 0)]
)
def test_what_is_not_base64(text: str, at: int) -> None:
    with pytest.raises(Refused, match=f"illegal base64 data at input byte {at}$"):
        decode_base64(text)


@given(body=st.binary(max_size=60))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(Refused):
        assert parse_init(body).main


def test_fields_of_init() -> None:
    request = parse_init(
        b'{"value": {"main": "", "code": "x", "env": {"A": 1, "B": null, "C": "\xc3\xa9"}, "other": []}}'
    )
    assert (request.main, request.code, request.binary) == ("main", "x", False)
    assert request.env == {"A": "1", "B": "", "C": "é"}


@given(value=st.dictionaries(TEXT, JSON, max_size=3))
def test_every_json_object_is_a_result(value: dict[str, object]) -> None:
    status, body = encode_result(value)
    assert status == 200
    assert json.loads(body) == value


def test_parameters_as_text() -> None:
    assert [as_text(v) for v in ("x", None, 1, True, {"a": "é"})] == ["x", "", "1", "true", '{"a": "é"}']


def test_requirements(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# comment\n\npytest>=1\nPy_Test\nno-such-thing[x] == 1\n-r other.txt\ngit+https://x\nlater; python_version < '3'\n./local\n"
    )
    assert missing(str(file)) == ["Py_Test", "no-such-thing"]
