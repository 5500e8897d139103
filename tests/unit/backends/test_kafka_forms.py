"""What goes over Kafka's wire, against aiokafka's own descriptions of it; names, batches."""

from __future__ import annotations

import struct
from io import BytesIO

import pytest
from aiokafka.protocol.fetch import FetchRequest_v11, FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest_v7, ProduceResponse_v7
from fakes.samples import message
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.backends.bus.kafka import names, wire
from upwhisk.backends.bus.kafka.records import Damage, Identity, batch_of, record_of, records_from

IDENTITY = Identity(4711, 3)
TOPIC = st.text(alphabet="abcXYZ09.-_", min_size=1, max_size=40)


@given(st.lists(st.tuples(TOPIC, st.binary(max_size=200)), max_size=5))
def test_produce_is_what_the_schema_says(batches: list[tuple[str, bytes]]) -> None:
    topics = [(topic, [(0, batch)]) for topic, batch in batches]
    assert wire.produce(700, batches) == ProduceRequest_v7(None, -1, 700, topics).encode()


@given(st.lists(st.tuples(TOPIC, st.integers(-1, 120)), max_size=5))
def test_answers_to_produce_are_read(results: list[tuple[str, int]]) -> None:
    topics = [(topic, [(0, code, 5, -1, 0)]) for topic, code in results]
    assert wire.produced(ProduceResponse_v7(topics, 9).encode()) == results


@given(TOPIC, st.integers(0, 2**62), st.integers(1, 2**30))
def test_fetch_is_what_the_schema_says(topic: str, offset: int, most: int) -> None:
    asked = [(topic, [(0, -1, offset, -1, most)])]
    assert (
        wire.fetch(topic, offset, wait_ms=500, max_bytes=most)
        == FetchRequest_v11(-1, 500, 1, most, 0, 0, -1, asked, [], "").encode()
    )


@given(
    TOPIC,
    st.integers(-1, 120),
    st.lists(st.tuples(st.just(1), st.just(2)), max_size=3),
    st.binary(max_size=300),
)
def test_answers_to_fetch_are_read(
    topic: str, code: int, aborted: list[tuple[int, int]], records: bytes
) -> None:
    partition = (0, code, 100, 100, 7, aborted, -1, records)
    answer = FetchResponse_v11(1, 0, 0, [(topic, [partition])]).encode()
    assert wire.fetched(answer) == wire.Fetched(code, 7, records)


def test_an_answer_without_a_topic_is_an_error_or_nothing() -> None:
    assert wire.fetched(FetchResponse_v11(1, 70, 0, []).encode()) == wire.Fetched(70, 0, b"")


def test_half_an_answer_is_no_answer() -> None:
    whole = ProduceResponse_v7([("t", [(0, 0, 5, -1, 0)])], 9).encode()
    with pytest.raises(struct.error):
        wire.produced(whole[:20])


def test_the_header_is_what_the_schema_says() -> None:
    header = ProduceRequest_v7(None, -1, 1, []).build_request_header(77, "upwhisk")
    assert wire.header(wire.PRODUCE, 77, "upwhisk") == header.encode()


@given(st.text(max_size=80))
def test_names_come_back(name: str) -> None:
    escaped = names.escaped(name)
    assert names.is_prefix(f"x{escaped[:90]}")
    assert names.plain(escaped) == name


@given(st.text(max_size=20), st.text(max_size=20))
def test_the_beginning_of_a_name_is_that_of_its_escaped_form(beginning: str, rest: str) -> None:
    assert names.escaped(beginning + rest).startswith(names.escaped(beginning))


@pytest.mark.parametrize("foreign", ["__consumer_offsets", "a_b", "a_5F", "_c3", "_61"])
def test_names_that_are_not_ours(foreign: str) -> None:
    assert names.plain(foreign) is None


@pytest.mark.parametrize("wrong", ["a/b", "ü", " ", "a" * 101, ".", ".."])
def test_prefixes_that_kafka_would_refuse(wrong: str) -> None:
    assert not names.is_prefix(wrong)


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=20), st.integers(0, 30))
def test_records_come_back_from_an_offset_on(payloads: list[bytes], offset: int) -> None:
    batch = batch_of([(payload, [("form", b"1")]) for payload in payloads], IDENTITY, 12)
    found, after, damage = records_from(batch, offset)
    assert [(r.offset, r.value) for r in found] == list(enumerate(payloads))[offset:]
    assert (after, damage) == (max(offset, len(payloads)), None)


def test_a_batch_says_who_made_it() -> None:
    batch = batch_of([record_of(message())], IDENTITY, 12)
    assert struct.unpack_from(">qhi", batch, 43) == (IDENTITY.id, IDENTITY.epoch, 12)


def test_half_a_batch_at_the_end_waits_for_the_next_answer() -> None:
    batch = batch_of([(b"one", []), (b"two", [])], IDENTITY, 0)
    second = struct.pack(">q", 2) + batch[8:]
    found, after, damage = records_from(batch + second[:-5], 0)
    assert ([r.value for r in found], after, damage) == ([b"one", b"two"], 2, None)


def test_a_damaged_batch_ends_what_is_read() -> None:
    good = batch_of([(b"one", [])], IDENTITY, 0)
    bad = bytearray(struct.pack(">q", 1) + batch_of([(b"two", []), (b"three", [])], IDENTITY, 1)[8:])
    bad[-3] ^= 1
    assert records_from(good + bad, 0)[2] == Damage(1, 3)
    assert [r.value for r in records_from(good + bad, 0)[0]] == [b"one"]


def test_a_trace_goes_into_the_headers() -> None:
    traced = message()
    traced.traceparent = "00-1-2-01"
    assert record_of(traced)[1] == [("form", b"1"), ("traceparent", b"00-1-2-01")]
    assert record_of(message())[1] == [("form", b"1")]


def test_the_stand_in_for_a_request_is_read_as_one() -> None:
    from upwhisk.backends.bus.kafka.link import _Raw

    request = _Raw(wire.FETCH, b"body").prepare({}).build_request_header(5, "upwhisk")
    assert request.encode() + request.encode() == wire.header(wire.FETCH, 5, "upwhisk") + b"body"
    answer = BytesIO(struct.pack(">i", 5) + b"rest")
    assert request.parse_response_header(answer).correlation_id == 5
    assert request.RESPONSE_TYPE.decode(answer) == b"rest"
