"""Topics: ordered, at least once, never more open than there are credits."""

from __future__ import annotations

import random
from itertools import count

import pytest
from fakes.consumer import Consumer, subscribed
from fakes.samples import message, record
from fakes.until import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import ControllerId, NodeId
from upwhisk.common.messages import (
    Accepted,
    ActivationMessage,
    Begun,
    Bundle,
    Carried,
    Discarded,
    Dispatched,
    Entry,
    Noted,
    Returned,
    Settled,
)
from upwhisk.common.spi.bus import MessageBus

_numbers = count()


async def test_messages_come_in_the_order_of_their_sends(bus: MessageBus) -> None:
    consumer, sent = Consumer(), [message() for _ in range(10)]
    await subscribed(bus, consumer, credits=100)
    for each in sent:
        await bus.send("t", each)
    await until(lambda: len(consumer.deliveries) == 10)
    assert consumer.messages == sent


async def test_places_rise_from_the_first_message_of_a_topic(bus: MessageBus) -> None:
    first, second = Consumer(), Consumer()
    subscription = await subscribed(bus, first, credits=10, whole=True)
    for _ in range(3):
        await bus.send("t", message())
    await until(lambda: len(first.deliveries) == 3)
    assert [delivery.place for delivery in first.deliveries] == [0, 1, 2]
    first.deliveries[0].done()
    await subscription.aclose()
    subscription = await subscribed(bus, second, credits=10, whole=True)
    await until(lambda: len(second.deliveries) == 2)
    assert [delivery.place for delivery in second.deliveries] == [1, 2]
    await subscription.aclose()
    await bus.remove_topic("t")
    third = Consumer()
    await bus.send("t", message())
    await subscribed(bus, third, credits=10)
    await until(lambda: len(third.deliveries) == 1)
    assert third.deliveries[0].place == 0


async def test_the_order_is_that_of_the_calls(bus: MessageBus) -> None:
    consumer, sent = Consumer(), [message() for _ in range(10)]
    await subscribed(bus, consumer, credits=100)
    sending = [bus.send("t", each) for each in sent]
    for each in reversed(sending):
        await each
    await until(lambda: len(consumer.deliveries) == 10)
    assert consumer.messages == sent


async def test_what_was_sent_before_waits_for_the_subscriber(bus: MessageBus) -> None:
    consumer, sent = Consumer(), [message() for _ in range(3)]
    for each in sent:
        await bus.send("t", each)
    await subscribed(bus, consumer, credits=10)
    await until(lambda: len(consumer.deliveries) == 3)
    assert consumer.messages == sent


async def test_nothing_comes_before_start(bus: MessageBus) -> None:
    consumer = Consumer()
    subscription = bus.subscribe("t", consumer, credits=10)
    await bus.send("t", message())
    assert consumer.deliveries == []
    await subscription.start()
    await until(lambda: len(consumer.deliveries) == 1)


async def test_credits_bound_what_is_open(bus: MessageBus) -> None:
    consumer, sent = Consumer(), [message() for _ in range(6)]
    subscription = await subscribed(bus, consumer, credits=2)
    for each in sent:
        await bus.send("t", each)
    await until(lambda: len(consumer.deliveries) == 2)
    consumer.finish()
    await until(lambda: len(consumer.deliveries) == 3)
    subscription.grant(2)
    await until(lambda: len(consumer.deliveries) == 5)
    subscription.grant(-3)
    for _ in range(3):
        consumer.finish()
    assert len(consumer.deliveries) == 5
    consumer.finish()
    await until(lambda: len(consumer.deliveries) == 6)
    assert consumer.messages == sent


async def test_done_twice_returns_one_credit(bus: MessageBus) -> None:
    consumer = Consumer()
    await subscribed(bus, consumer, credits=1)
    for _ in range(4):
        await bus.send("t", message())
    await until(lambda: len(consumer.open) == 1)
    first = consumer.open.pop()
    first.done()
    await until(lambda: len(consumer.deliveries) == 2)
    first.done()
    await bus.send("t", message())
    assert len(consumer.deliveries) == 2


async def test_topics_do_not_mix(bus: MessageBus) -> None:
    one, two = Consumer(), Consumer()
    await subscribed(bus, one, credits=5, topic="one")
    await subscribed(bus, two, credits=5, topic="two")
    first, second = message(), message()
    await bus.send("one", first)
    await bus.send("two", second)
    await until(lambda: len(one.deliveries) == len(two.deliveries) == 1)
    assert (one.messages, two.messages) == ([first], [second])


async def test_what_was_not_done_comes_again_to_the_next_subscription(bus: MessageBus) -> None:
    first, second, sent = Consumer(), Consumer(), [message() for _ in range(5)]
    subscription = await subscribed(bus, first, credits=3)
    for each in sent:
        await bus.send("t", each)
    await until(lambda: len(first.deliveries) == 3)
    first.finish(1)
    await until(lambda: len(first.deliveries) == 4)
    await subscription.aclose()
    await subscription.aclose()
    await bus.send("t", message())
    assert len(first.deliveries) == 4
    await subscribed(bus, second, credits=10)
    await until(lambda: len(second.deliveries) >= 5)
    assert second.messages[:4] == [sent[0], sent[2], sent[3], sent[4]]


async def test_a_whole_subscription_gets_what_was_done_behind_the_first_that_was_not(bus: MessageBus) -> None:
    first, second, third, sent = Consumer(), Consumer(), Consumer(), [message() for _ in range(5)]
    subscription = await subscribed(bus, first, credits=10, whole=True)
    for each in sent:
        await bus.send("t", each)
    await until(lambda: len(first.deliveries) == 5)
    for done in (0, 2, 4):
        first.deliveries[done].done()
    await subscription.aclose()
    subscription = await subscribed(bus, second, credits=10, whole=True)
    await until(lambda: len(second.deliveries) == 4)
    assert second.messages == sent[1:]
    for delivery in second.deliveries:
        delivery.done()
    await subscription.aclose()
    await subscribed(bus, third, credits=10, whole=True)
    later = message()
    await bus.send("t", later)
    await until(lambda: len(third.deliveries) == 1)
    assert third.messages == [later]


async def test_a_topic_has_one_subscriber_at_a_time(bus: MessageBus) -> None:
    consumer = Consumer()
    subscription = await subscribed(bus, consumer, credits=1)
    with pytest.raises(Exception, match="subscriber"):
        await subscribed(bus, Consumer(), credits=1)
    await subscription.aclose()
    await subscribed(bus, Consumer(), credits=1)


async def test_a_removed_topic_is_forgotten(bus: MessageBus) -> None:
    consumer = Consumer()
    await bus.send("t", message())
    await bus.remove_topic("t")
    await bus.remove_topic("unknown")
    await subscribed(bus, consumer, credits=5)
    later = message()
    await bus.send("t", later)
    await until(lambda: len(consumer.deliveries) == 1)
    assert consumer.messages == [later]


async def test_a_try_leaves_no_topic(bus: MessageBus) -> None:
    for _ in range(2):
        await bus.try_topics()
    assert await bus.topics("") == ()


async def test_every_kind_of_message(bus: MessageBus) -> None:
    consumer = Consumer()
    await subscribed(bus, consumer, credits=5)
    work = message(arguments={"n": [1, None, "ü"]})
    back = Returned(activation_id=work.activation_id, node="n", attempt=1, reason="full")  # type: ignore[arg-type]
    await bus.send("t", work)
    await bus.send("t", back)
    await until(lambda: len(consumer.deliveries) == 2)
    assert consumer.messages == [work, back]


async def test_topics_are_found_by_their_beginning(bus: MessageBus) -> None:
    await bus.send("found-b", message())
    await bus.send("found-a", message())
    await bus.send("other", message())
    assert await bus.topics("found-") == ("found-a", "found-b")
    await bus.remove_topic("found-a")
    assert await bus.topics("found-") == ("found-b",)


async def test_what_a_controller_keeps_of_work(bus: MessageBus) -> None:
    consumer, work = Consumer(), message(arguments={"big": 2**70})
    await subscribed(bus, consumer, credits=5)
    entries: tuple[Entry, ...] = (
        Accepted(messages=(work,), records=(record(result={"v": 2**70}),)),
        Dispatched(activation_id=work.activation_id, node=NodeId("n"), incarnation="i", dispatch=1, attempt=1),
        Noted(activation_id=work.activation_id, progress=b"\x00\xff"),
        Carried(message=work, attempt=1, begun=True),
        Settled(record=record(work.activation_id)),
        Discarded(activation_id=work.activation_id),
    )
    bundle = Bundle(owner=ControllerId("c"), number=7, entries=entries)
    begun = Begun(activation_id=work.activation_id, node=NodeId("n"), attempt=1, dispatch=2)
    await bus.send("t", bundle)
    await bus.send("t", begun)
    await until(lambda: len(consumer.deliveries) == 2)
    assert consumer.messages == [bundle, begun]


async def test_a_closed_bus_says_so(bus: MessageBus) -> None:
    assert bus.problem() is None
    await bus.aclose()
    assert bus.problem()
    with pytest.raises(Unavailable):
        await bus.send("t", message())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(), steps=st.lists(st.sampled_from(["send", "done", "grant", "less", "again"]), max_size=40))
async def test_any_course_delivers_all_in_order_within_the_credits(bus: MessageBus, seed: int, steps: list[str]) -> None:
    chance, topic = random.Random(seed), f"t{next(_numbers)}"
    consumer, allowed, done = Consumer(), 2, 0
    sent: list[ActivationMessage] = []
    subscription = await subscribed(bus, consumer, credits=allowed, topic=topic)
    for step in steps:
        if step == "send":
            sent.append(message())
            await bus.send(topic, sent[-1])
        elif step == "done" and consumer.open:
            consumer.finish(chance.randrange(len(consumer.open)))
            done += 1
        elif step == "grant":
            subscription.grant(1)
            allowed += 1
        elif step == "less" and allowed > len(consumer.open):
            subscription.grant(-1)
            allowed -= 1
        elif step == "again" and not consumer.open:
            await subscription.aclose()
            subscription = await subscribed(bus, consumer, credits=allowed, topic=topic)
        expected = min(len(sent), done + allowed)
        await until(lambda expected=expected: len(consumer.deliveries) == expected)  # type: ignore[misc]
        assert consumer.messages == sent[:expected]
    await subscription.aclose()
