"""What only the bus inside one process promises: no task switch, no growing stack, a bound."""

from __future__ import annotations

import pytest
from fakes.samples import message

from upwhisk.backends.bus.memory import MemoryBus
from upwhisk.common.errors import Unavailable
from upwhisk.common.forms import Received
from upwhisk.common.spi.bus import Delivery


async def test_a_message_is_handed_over_inside_send() -> None:
    async with MemoryBus() as bus:
        got: list[Received] = []
        await bus.subscribe("t", lambda delivery: got.append(delivery.message), credits=1).start()
        work = message()
        sent = bus.send("t", work)
        assert got == [work]
        assert sent.done()
        assert got[0] is work


async def test_a_consumer_may_send_and_finish_inside_its_delivery() -> None:
    async with MemoryBus() as bus:
        order: list[int] = []

        def consume(delivery: Delivery) -> None:
            number = len(order)
            order.append(number)
            if number < 5000:
                bus.send("t", message())
            delivery.done()

        await bus.subscribe("t", consume, credits=1).start()
        await bus.send("t", message())
        assert order == list(range(5001))


async def test_a_full_topic_refuses_and_others_go_on() -> None:
    async with MemoryBus(max_waiting=3) as bus:
        for _ in range(3):
            await bus.send("full", message())
        with pytest.raises(Unavailable, match="3 messages wait in full"):
            await bus.send("full", message())
        await bus.send("other", message())
        got: list[Delivery] = []
        await bus.subscribe("full", got.append, credits=1).start()
        await bus.send("full", message())
        assert len(got) == 1


async def test_done_after_the_end_of_a_subscription_counts() -> None:
    async with MemoryBus() as bus:
        first: list[Delivery] = []
        second: list[Delivery] = []
        subscription = bus.subscribe("t", first.append, credits=2)
        await subscription.start()
        await bus.send("t", message())
        await bus.send("t", message())
        await subscription.aclose()
        first[0].done()
        await bus.subscribe("t", second.append, credits=2).start()
        assert [delivery.message for delivery in second] == [first[1].message]
        second[0].done()
