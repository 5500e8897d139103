"""The bus inside one process: messages are handed over as objects, without a task switch where credits allow."""

from __future__ import annotations

import asyncio
from collections import deque

from upwhisk.common.errors import InternalError, Unavailable
from upwhisk.common.forms import Received
from upwhisk.common.messages import Message
from upwhisk.common.spi.bus import BusAbilities, Deliver, Delivery, MessageBus, Subscription

MAX_WAITING = 10_000


class _Topic:
    """`waiting`: not delivered. `subscriber`: the one that is started. `sent`: how many messages it had so far."""

    __slots__ = ("sent", "subscriber", "waiting")

    def __init__(self) -> None:
        self.sent = 0
        self.waiting: deque[_MemoryDelivery] = deque()
        self.subscriber: _MemorySubscription | None = None


class _MemoryDelivery(Delivery):
    __slots__ = ("holder", "is_done", "message", "place")

    def __init__(self, message: Received, place: int) -> None:
        self.message = message
        self.place = place
        self.holder: _MemorySubscription | None = None
        self.is_done = False

    def done(self) -> None:
        if not self.is_done:
            self.is_done = True
            if self.holder is not None:
                self.holder.forget(self)


class _MemorySubscription(Subscription):
    """`row`: what was delivered, from the first that is not done on, if it may have to be delivered whole again."""

    def __init__(self, name: str, topic: _Topic, deliver: Deliver, credits: int, *, whole: bool) -> None:
        self._name = name
        self._row: deque[_MemoryDelivery] | None = deque() if whole else None
        self._topic = topic
        self._deliver = deliver
        self._credits = credits
        self._open: dict[_MemoryDelivery, None] = {}
        self._pumping = False

    async def start(self) -> None:
        if self._topic.subscriber not in (None, self):
            raise InternalError(f"topic {self._name} has a subscriber already")
        self._topic.subscriber = self
        self.pump()

    async def aclose(self) -> None:
        if self._topic.subscriber is self:
            self._topic.subscriber = None
        for delivery in reversed(self._open if self._row is None else self._row):
            delivery.holder = None
            self._topic.waiting.appendleft(
                _MemoryDelivery(delivery.message, delivery.place) if delivery.is_done else delivery
            )
        self._open.clear()
        if self._row is not None:
            self._row.clear()

    def grant(self, credits: int) -> None:
        self._credits += credits
        self.pump()

    def forget(self, delivery: _MemoryDelivery) -> None:
        while self._row and self._row[0].is_done:
            self._row.popleft()
        if self._open.pop(delivery, self) is None:
            self.pump()

    def pump(self) -> None:
        """Hand over what credits allow. A consumer that sends, grants or finishes inside `deliver` comes back here:
        the outermost call goes on for it, so the order stays and the stack does not grow."""
        if self._pumping:
            return
        self._pumping = True
        waiting = self._topic.waiting
        try:
            while waiting and len(self._open) < self._credits and self._topic.subscriber is self:
                delivery = waiting.popleft()
                if not delivery.is_done:  # its former subscription may have finished it in the meantime
                    delivery.holder = self
                    self._open[delivery] = None
                    if self._row is not None:
                        self._row.append(delivery)
                    self._deliver(delivery)
        finally:
            self._pumping = False


class MemoryBus(MessageBus):
    """`max_waiting` messages may wait in a topic; the next is `Unavailable`."""

    abilities = BusAbilities(durable=False)

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._max_waiting = max_waiting
        self._topics: dict[str, _Topic] = {}
        self._is_open = False
        self._sent: asyncio.Future[None] | None = None
        """What every send returns that succeeded: it is done before anybody looks at it."""

    async def start(self) -> None:
        self._is_open = True
        self._sent = asyncio.get_running_loop().create_future()
        self._sent.set_result(None)

    async def aclose(self) -> None:
        self._is_open = False
        for topic in self._topics.values():
            if topic.subscriber is not None:
                await topic.subscriber.aclose()
        self._topics.clear()

    def send(self, topic: str, message: Message) -> asyncio.Future[None]:
        queue = self._topics.get(topic) or self._topic(topic)
        if not self._is_open or self._sent is None:
            return _refused("The message bus is closed.")
        if len(queue.waiting) >= self._max_waiting:
            return _refused(f"The message bus is full: {self._max_waiting} messages wait in {topic}.")
        queue.waiting.append(_MemoryDelivery(message, queue.sent))
        queue.sent += 1
        if queue.subscriber is not None:
            queue.subscriber.pump()
        return self._sent

    def subscribe(
        self, topic: str, deliver: Deliver, *, credits: int, whole: bool = False
    ) -> Subscription:
        return _MemorySubscription(topic, self._topic(topic), deliver, credits, whole=whole)

    async def topics(self, prefix: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in self._topics if name.startswith(prefix)))

    def problem(self) -> str | None:
        return None if self._is_open else "the message bus is closed"

    async def remove_topic(self, topic: str) -> None:
        queue = self._topics.pop(topic, None)
        if queue is not None:
            if queue.subscriber is not None:
                await queue.subscriber.aclose()
            queue.waiting.clear()

    def _topic(self, name: str) -> _Topic:
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = _Topic()
        return topic


def _refused(text: str) -> asyncio.Future[None]:
    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    refused.set_exception(Unavailable(text))
    return refused
