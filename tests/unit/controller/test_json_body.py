"""JSON of requests: depth, numbers, texts."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.errors import BadRequest
from upwhisk.common.nesting import nesting_exceeds
from upwhisk.controller.json_body import check_depth, decode_as, decode_json, decode_object

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda v: st.lists(v) | st.dictionaries(st.text(), v),
)


def depth_of(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(values, st.integers(0, 6))
def test_depth_is_what_a_parser_sees(value: object, limit: int) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert nesting_exceeds(text.encode(), limit) == (depth_of(value) > limit)


@pytest.mark.parametrize("offset", range(60, 70))
def test_strings_and_escapes_across_slices(offset: int) -> None:
    # The quote, or its backslash, stands on the border of two slices.
    text = "x" * (64 * 1024 - offset) + '\\"[[[[{{' * 10 + "\\\\"
    assert not nesting_exceeds(json.dumps([text]).encode(), 1)
    assert nesting_exceeds(json.dumps([text, [[]]]).encode(), 2)


@given(values)
def test_what_json_reads_we_read(value: object) -> None:
    assert decode_json(json.dumps(value).encode(), 1000) == value


@pytest.mark.parametrize("text", ["", "NaN", "1e999", "[1]]", '"\\ud800"', "\ufeff{}", "1" * 4301])
def test_what_is_refused(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_json(text.encode(), 500)
    assert caught.value.text.startswith("The request content was malformed:\n")


@pytest.mark.parametrize(
    "body",
    [
        rb'{"a":"\ud800"}',
        rb'{"\udbffx":1}',
        rb'{"a":"\udc00"}',
        rb'{"a":"\\\ud800\u0041"}',
        rb'{"a":"\ud83d\ude00\ude00"}',
    ],
)
def test_half_of_a_surrogate_pair_is_named(body: bytes) -> None:
    for decode in (lambda: decode_json(body, 500), lambda: decode_as(body, Skipping, 500)):
        with pytest.raises(BadRequest, match="half of a surrogate pair"):
            decode()


@pytest.mark.parametrize("body", [rb'{"a":"\\ud800"', rb'{"a":"\ud83d\ude00"', rb'{"a":"\u0041\ud83d\ude00\n"', b'{"a":1}x'])
def test_other_faults_keep_their_words(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_json(body, 500)
    assert "surrogate" not in caught.value.text


class Skipping(msgspec.Struct):
    b: int = 0


def test_what_is_skipped_is_utf8_too() -> None:
    assert decode_as('{"a":"é","b":2}'.encode(), Skipping, 500).b == 2
    with pytest.raises(BadRequest, match="utf-8"):
        decode_as(b'{"a":"\xff","b":2}', Skipping, 500)


def test_long_digits_in_texts_are_no_numbers() -> None:
    body = json.dumps({"a": "1" * 100, "b": [2**64 - 1]}).encode()
    assert decode_object(body, 10) == {"a": "1" * 100, "b": [2**64 - 1]}


def test_hostile_depth_costs_little() -> None:
    for body in (b"[" * 2**20, b'[{"a":' * 2**18, b"[]," * 2**19, b'"\\"' * 2**19):
        started = time.perf_counter()
        try:
            check_depth(body, 500)
        except BadRequest:
            pass
        assert time.perf_counter() - started < 1
