"""A broker that dies, hangs or comes back: nothing lost or doubled, nobody waits longer than said."""

from __future__ import annotations

import asyncio
import time

import pytest
from fakes.consumer import Consumer, subscribed
from fakes.samples import message
from fakes.until import until
from services.kafka import Kafka

from upwhisk.backends.bus.kafka import KafkaBus
from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.common.errors import ConfigurationError, Unavailable
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.settings import KafkaSettings

pytestmark = pytest.mark.external_service
PATIENT = Deadlines(send=90.0)
HASTY = Deadlines(start=3.0, send=1.5, answer=1.0, poll=0.5, probe=0.2, flush=1.0)
SLACK_S = 2.0
"""For a busy machine."""


def bus_on(broker: Kafka, prefix: str, deadlines: Deadlines) -> KafkaBus:
    return KafkaBus(KafkaSettings(bootstrap=(broker.bootstrap,), prefix=prefix), deadlines)


async def test_kill_9_in_the_middle_of_sends_loses_and_doubles_nothing(
    own_broker: Kafka, prefix: str
) -> None:
    sent: dict[str, list[ActivationMessage]] = {"a": [], "b": []}
    consumers = {topic: Consumer(finishes=True) for topic in sent}
    sending: list[asyncio.Future[None]] = []
    async with bus_on(own_broker, prefix, PATIENT) as bus:
        for topic, consumer in consumers.items():
            await subscribed(bus, consumer, credits=20, topic=topic)

        async def keep_sending(stop: asyncio.Event) -> None:
            while not stop.is_set():
                for topic, messages in sent.items():
                    messages.append(message())
                    sending.append(bus.send(topic, messages[-1]))
                await asyncio.sleep(0.002)

        stop = asyncio.Event()
        work = asyncio.create_task(keep_sending(stop))
        for _ in range(2):
            so_far = sum(done.done() for done in sending)
            await until(lambda so_far=so_far: sum(done.done() for done in sending) > so_far + 200)  # type: ignore[misc]
            await asyncio.to_thread(own_broker.kill)
            await until(lambda: bus.problem() is not None)
            await asyncio.to_thread(own_broker.restart)
            await until(lambda: bus.problem() is None)
        stop.set()
        await work
        await asyncio.wait_for(asyncio.gather(*sending), 60)
        for topic, messages in sent.items():
            received = consumers[topic].deliveries
            await until(lambda r=received, m=messages: len(r) >= len(m))  # type: ignore[misc]
            assert consumers[topic].messages == messages


async def test_senders_are_told_in_time_and_it_goes_on_by_itself(own_broker: Kafka, prefix: str) -> None:
    consumer = Consumer(finishes=True)
    async with bus_on(own_broker, prefix, HASTY) as bus:
        await subscribed(bus, consumer, credits=5)
        first = message()
        await bus.send("t", first)
        await asyncio.to_thread(own_broker.kill)
        began = time.monotonic()
        given_up = [message() for _ in range(3)]
        outcomes = await asyncio.gather(*[bus.send("t", each) for each in given_up], return_exceptions=True)
        assert time.monotonic() - began < HASTY.send + SLACK_S
        assert {type(outcome) for outcome in outcomes} == {Unavailable}
        assert "Kafka" in str(outcomes[0])
        assert own_broker.bootstrap in (bus.problem() or "")
        await asyncio.to_thread(own_broker.restart)
        await until(lambda: bus.problem() is None)
        last = message()
        await bus.send("t", last)
        await until(lambda: consumer.messages[-1:] == [last])
        came = [each for each in consumer.messages if each in given_up]
        assert came == [each for each in given_up if each in came], (
            "what arrives late arrives once and in order"
        )


async def test_a_broker_that_hangs_holds_nobody_up(own_broker: Kafka, prefix: str) -> None:
    consumer, sent = Consumer(finishes=True), [message() for _ in range(4)]
    bus = bus_on(own_broker, prefix, HASTY)
    await bus.start()
    await subscribed(bus, consumer, credits=5)
    await bus.send("t", sent[0])
    own_broker.pause()
    try:
        with pytest.raises(Unavailable):
            await bus.send("t", sent[1])
        await until(lambda: bus.problem() is not None)
        with pytest.raises(ConfigurationError, match=r"kafka\.bootstrap"):
            await asyncio.wait_for(bus_on(own_broker, prefix, HASTY).start(), HASTY.start + SLACK_S)
        with pytest.raises(Unavailable):
            await asyncio.wait_for(bus.topics(""), HASTY.send + SLACK_S)
    finally:
        own_broker.resume()
    await until(lambda: bus.problem() is None)
    await bus.send("t", sent[2])
    await until(lambda: consumer.messages == sent[:3])
    own_broker.pause()
    try:
        late = bus.send("t", sent[3])
        began = time.monotonic()
        await bus.aclose()
        assert time.monotonic() - began < 2 * HASTY.flush + SLACK_S
        assert isinstance(late.exception(), Unavailable)
    finally:
        own_broker.resume()


async def test_a_silent_bus_notices_too(own_broker: Kafka, prefix: str) -> None:
    async with bus_on(own_broker, prefix, HASTY) as bus:
        assert bus.problem() is None
        own_broker.pause()
        try:
            await until(
                lambda: bus.problem() is not None, deadline_s=HASTY.probe + 2 * HASTY.answer + SLACK_S
            )
        finally:
            own_broker.resume()
        await until(lambda: bus.problem() is None)


async def test_a_subscription_begins_when_the_broker_does(own_broker: Kafka, prefix: str) -> None:
    consumer = Consumer(finishes=True)
    async with bus_on(own_broker, prefix, PATIENT) as bus:
        await asyncio.to_thread(own_broker.kill)
        restarting = asyncio.create_task(asyncio.to_thread(own_broker.restart))
        sending = bus.send("t", message())
        for _ in range(6):
            try:
                await subscribed(bus, consumer, credits=5)
                break
            except Unavailable:
                continue
        await sending
        await restarting
        await until(lambda: len(consumer.deliveries) == 1)


async def test_no_broker_at_all_is_one_clear_error(unused_tcp_port: int) -> None:
    bus = KafkaBus(KafkaSettings(bootstrap=(f"127.0.0.1:{unused_tcp_port}",)), Deadlines(start=0.5))
    with pytest.raises(ConfigurationError, match=rf"kafka\.bootstrap.*{unused_tcp_port}.*refused"):
        await bus.start()
    await bus.aclose()
