"""Where a consumer goes on after it was closed, killed, or overtaken by the log's end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from fakes.consumer import Consumer, subscribed
from fakes.samples import message
from fakes.until import until, until_async
from integration.kafka.conftest import MakeBus
from services.kafka import Kafka

from upwhisk.common.messages import ActivationMessage

pytestmark = pytest.mark.external_service
KILLED = Path(__file__).with_name("killed_consumer.py")


async def send_all(make_bus: MakeBus, count: int) -> list[ActivationMessage]:
    sent = [message() for _ in range(count)]
    async with make_bus() as bus:
        await asyncio.gather(*[bus.send("t", each) for each in sent])
    return sent


async def committed(kafka: Kafka, topic: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(topic)
    finally:
        await admin.close()
    return max((each.offset for each in offsets.values()), default=0)


async def test_after_closing_it_goes_on_at_the_first_that_was_not_done(make_bus: MakeBus) -> None:
    sent = await send_all(make_bus, 10)
    first, second = Consumer(), Consumer()
    async with make_bus() as bus:
        await subscribed(bus, first, credits=6)
        await until(lambda: len(first.open) == 6)
        for delivery in (first.open[0], first.open[1], first.open[3]):
            delivery.done()
    async with make_bus() as bus:
        await subscribed(bus, second, credits=100)
        await until(lambda: len(second.deliveries) >= 8)
    assert second.messages == sent[2:], "done behind a gap counts only for the process that knows of it"


async def test_what_is_done_after_the_subscription_closed_counts(make_bus: MakeBus) -> None:
    sent = await send_all(make_bus, 4)
    first, second = Consumer(), Consumer()
    async with make_bus() as bus:
        subscription = await subscribed(bus, first, credits=3)
        await until(lambda: len(first.open) == 3)
        await subscription.aclose()
        for delivery in first.open:
            delivery.done()
    async with make_bus() as bus:
        await subscribed(bus, second, credits=100)
        await until(lambda: bool(second.deliveries))
    assert second.messages == sent[3:]


async def test_after_kill_9_it_goes_on_at_the_committed_offset(
    kafka: Kafka, make_bus: MakeBus, prefix: str
) -> None:
    sent = await send_all(make_bus, 50)
    environment = {**os.environ, "PYTHONPATH": ""}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(KILLED),
        kafka.bootstrap,
        prefix,
        "t",
        "40",
        "30",
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        assert child.stdout is not None
        while b"taken" not in await asyncio.wait_for(child.stdout.readline(), 20):
            pass

        async def all_committed() -> bool:
            return await committed(kafka, f"{prefix}t") == 30

        await until_async(all_committed)
    finally:
        child.send_signal(signal.SIGKILL)
        await child.wait()
    consumer = Consumer()
    async with make_bus() as bus:
        await subscribed(bus, consumer, credits=100)
        await until(lambda: len(consumer.deliveries) >= 20)
    assert consumer.messages == sent[30:]


async def test_a_log_whose_beginning_is_gone_is_read_from_what_is_left(
    kafka: Kafka, make_bus: MakeBus, prefix: str
) -> None:
    sent = await send_all(make_bus, 10)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.delete_records({TopicPartition(f"{prefix}t", 0): RecordsToDelete(before_offset=6)})
    await admin.close()
    consumer = Consumer(finishes=True)
    async with make_bus() as bus:
        await subscribed(bus, consumer, credits=100)
        await until(lambda: len(consumer.deliveries) >= 4)
        assert consumer.messages == sent[6:]
    assert await committed(kafka, f"{prefix}t") == 10


async def test_a_topic_removed_by_somebody_else_begins_anew(make_bus: MakeBus) -> None:
    consumer, late = Consumer(), message()
    async with make_bus() as bus, make_bus() as other:
        await subscribed(bus, consumer, credits=100)
        for _ in range(5):
            await bus.send("t", message())
        await until(lambda: len(consumer.deliveries) == 5)
        await other.remove_topic("t")
        await other.send("t", late)
        for delivery in consumer.open[:5]:
            delivery.done()
        await until(lambda: len(consumer.deliveries) == 6, deadline_s=20)
        assert consumer.messages[-1] == late
        after = message()
        await bus.send("t", after)
        await until(lambda: consumer.messages[-1] == after)
