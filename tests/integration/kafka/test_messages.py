"""What lies in Kafka: topics, headers, large and unreadable messages."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from fakes.consumer import Consumer, subscribed
from fakes.samples import message
from fakes.until import until
from integration.kafka.conftest import MakeBus
from services.kafka import Kafka

from upwhisk.common.errors import InternalError, Unavailable
from upwhisk.common.forms import Unreadable
from upwhisk.common.messages import encode_message

pytestmark = pytest.mark.external_service
MIB = 1024 * 1024


async def test_a_message_of_20_mib(make_bus: MakeBus) -> None:
    consumer, big, small = Consumer(finishes=True), message(arguments={"data": "x" * (20 * MIB)}), message()
    async with make_bus() as bus:
        await subscribed(bus, consumer, credits=2)
        await asyncio.gather(bus.send("t", small), bus.send("t", big), bus.send("t", small))
        await until(lambda: len(consumer.deliveries) == 3)
        assert consumer.messages == [small, big, small]


async def test_a_message_beyond_all_bounds_is_refused_alone(make_bus: MakeBus) -> None:
    consumer, small = Consumer(finishes=True), message()
    async with make_bus() as bus:
        await subscribed(bus, consumer, credits=2)
        with pytest.raises(InternalError, match="too large"):
            await bus.send("t", message(arguments={"data": "x" * (33 * MIB)}))
        await bus.send("t", small)
        await until(lambda: consumer.messages == [small])


async def test_a_topic_that_somebody_made_too_small_says_so(
    kafka: Kafka, make_bus: MakeBus, prefix: str
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(f"{prefix}t", 1, 1)])
    await admin.close()
    consumer, small = Consumer(finishes=True), message()
    async with make_bus() as bus:
        await subscribed(bus, consumer, credits=2)
        with pytest.raises(InternalError, match=r"max\.message\.bytes"):
            await bus.send("t", message(arguments={"data": "x" * (2 * MIB)}))
        await bus.send("t", small)
        await until(lambda: consumer.messages == [small])


async def test_rubbish_is_passed_over_and_other_forms_are_handed_over_as_such(
    kafka: Kafka, make_bus: MakeBus, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    consumer, first, last = Consumer(finishes=True), message(), message()
    newer = msgspec.msgpack.encode({**msgspec.msgpack.decode(encode_message(first)), "form": 99})
    deep = b"\x91" * 100_000
    async with make_bus() as bus:
        await bus.send("t", first)
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
        await producer.start()
        await producer.send_and_wait(f"{prefix}t", newer, headers=[("form", b"99")])
        for junk in (b"", None, b"\xff\x00junk", encode_message(first)[:-3], deep):
            await producer.send_and_wait(f"{prefix}t", junk, key=b"k")
        await producer.stop()
        await bus.send("t", last)
        await subscribed(bus, consumer, credits=2)
        await until(lambda: len(consumer.deliveries) == 3)
        assert [consumer.messages[0], consumer.messages[2]] == [first, last]
        unread = consumer.messages[1]
        assert isinstance(unread, Unreadable)
        assert (unread.type, unread.form, unread.activation_id) == ("activation", 99, first.activation_id)
    said = [line for line in capsys.readouterr().out.splitlines() if "kafka.unreadable" in line]
    assert len(said) == 6
    assert all(f"topic={prefix}t" in line for line in said)
    assert "form=99" in said[0]
    assert "offset=1" in said[0]


async def test_other_programs_read_form_and_trace_in_the_headers(
    kafka: Kafka, make_bus: MakeBus, prefix: str
) -> None:
    traced = message()
    traced.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with make_bus() as bus:
        await bus.send("t", traced)
        await bus.send("t", message())
    async with AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap) as other:
        partition = TopicPartition(f"{prefix}t", 0)
        other.assign([partition])
        await other.seek_to_beginning(partition)
        headers = [dict((await other.getone()).headers) for _ in range(2)]
    assert headers == [{"form": b"1", "traceparent": traced.traceparent.encode()}, {"form": b"1"}]


async def test_topics_are_made_as_the_settings_say(kafka: Kafka, make_bus: MakeBus, prefix: str) -> None:
    async with make_bus(retention_h=5) as bus:
        await bus.send("t", message())
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    resource = ConfigResource(ConfigResourceType.TOPIC, f"{prefix}t")
    [answer] = await admin.describe_configs([resource])
    [topic] = await admin.describe_topics([f"{prefix}t"])
    await admin.close()
    configuration = {row[0]: row[1] for row in answer.resources[0][4]}
    assert configuration["retention.ms"] == str(5 * 3_600_000)
    assert configuration["max.message.bytes"] == str(32 * MIB)
    assert configuration["message.timestamp.type"] == "LogAppendTime"
    assert len(topic["partitions"]) == 1


async def test_names_beyond_kafkas_alphabet(make_bus: MakeBus) -> None:
    consumer, sent = Consumer(finishes=True), message()
    name = "invoker-Küche/oben:1_a"
    async with make_bus() as bus:
        await subscribed(bus, consumer, credits=2, topic=name)
        await bus.send(name, sent)
        await until(lambda: consumer.messages == [sent])
        assert await bus.topics("invoker-K") == (name,)
        await bus.remove_topic(name)
        assert await bus.topics("") == ()
        with pytest.raises(InternalError, match="long"):
            await bus.send("n" * 250, sent)


async def test_what_is_read_ahead_is_bounded(make_bus: MakeBus) -> None:
    consumer = Consumer()
    async with make_bus() as bus:
        for _ in range(8):
            await asyncio.gather(*[bus.send("t", message(arguments={"data": "x" * MIB})) for _ in range(8)])
        subscription = await subscribed(bus, consumer, credits=1)
        await until(lambda: len(consumer.open) == 1)
        await bus.topics("")  # some turns and round trips later
        assert subscription._buffered_bytes < 4 * MIB  # type: ignore[attr-defined]
        while consumer.open:
            count = len(consumer.deliveries)
            consumer.finish()
            if count < 64:
                await until(lambda count=count: len(consumer.deliveries) == count + 1)  # type: ignore[misc]
        assert len(consumer.deliveries) == 64


async def test_more_copies_than_there_are_brokers(make_bus: MakeBus) -> None:
    async with make_bus(replication=3) as bus:
        with pytest.raises(Unavailable, match=r"setting kafka\.replication is 3"):
            await bus.send("topic", message())
