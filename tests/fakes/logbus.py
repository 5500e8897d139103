"""A bus between processes, in memory: the broker keeps what was sent, each process has a line to it of its own.

Passes the contract suite. Beyond it, lines can be frozen (nothing is sent or delivered until it thaws), cut by the death of
their process, and the broker can be away, or take messages without saying so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from upwhisk.common.errors import InternalError, Unavailable
from upwhisk.common.forms import Received, received
from upwhisk.common.messages import Message, Unencodable, decode_message, encode_message
from upwhisk.common.spi.bus import BusAbilities, Deliver, Delivery, MessageBus, Subscription


@dataclass
class Topic:
    """`committed`: the first message that is needed, for whoever reads next."""

    messages: list[bytes] = field(default_factory=list)
    committed: int = 0
    readers: dict[LogSubscription, None] = field(default_factory=dict)

    def tell(self) -> None:
        for reader in list(self.readers):
            reader.wake()


class Broker:
    """`is_away`: nothing is taken or given. `is_mute`: what is sent arrives, and its sender does not hear of it."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.lines: list[LogBus] = []
        self.is_mute = False
        self._is_away = False

    @property
    def is_away(self) -> bool:
        return self._is_away

    @is_away.setter
    def is_away(self, away: bool) -> None:
        self._is_away = away
        if not away:
            for line in self.lines:
                line.thaw()

    def topic(self, name: str) -> Topic:
        found = self.topics.get(name)
        if found is None:
            found = self.topics[name] = Topic()
        return found

    def messages(self, name: str) -> list[Message]:
        return [decode_message(data) for data in self.topic(name).messages]


class LogDelivery(Delivery):
    def __init__(self, message: Received, index: int, reading: Reading) -> None:
        self.message = message
        self.place = index
        self.reading = reading
        self.is_done = False

    def done(self) -> None:
        if not self.is_done:
            self.is_done = True
            self.reading.finish(self)


class Reading:
    """What one process has finished of one topic."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.position = topic.committed
        self.finished: set[int] = set()
        self.reader: LogSubscription | None = None

    def finish(self, delivery: LogDelivery) -> None:
        self.finished.add(delivery.place)
        while self.position in self.finished:
            self.finished.discard(self.position)
            self.position += 1
            self.topic.committed = self.position
        if self.reader is not None:
            self.reader.returned(delivery)


class LogSubscription(Subscription):
    def __init__(self, line: LogBus, name: str, deliver: Deliver, credits: int, *, whole: bool) -> None:
        self._line = line
        self._name = name
        self._deliver = deliver
        self._credits = credits
        self._whole = whole
        self._open: set[LogDelivery] = set()
        self._reading: Reading | None = None
        self._next = 0
        self._is_awake = False

    async def start(self) -> None:
        if self._reading is not None:
            return
        if self._name in self._line.subscribers:
            raise InternalError(f"topic {self._name} has a subscriber already")
        topic = self._line.broker.topic(self._name)
        self._line.subscribers[self._name] = self
        reading = self._line.readings.get(self._name)
        if reading is None or self._whole or reading.topic is not topic:
            reading = self._line.readings[self._name] = Reading(topic)
        reading.position = max(reading.position, topic.committed)
        reading.reader, self._reading, self._next = self, reading, reading.position
        topic.readers[self] = None
        self.wake()

    async def aclose(self) -> None:
        if self._line.subscribers.get(self._name) is self:
            del self._line.subscribers[self._name]
        if self._reading is not None:
            self._reading.topic.readers.pop(self, None)
            self._reading.reader = None
            self._reading = None
            self._open.clear()

    def grant(self, credits: int) -> None:
        self._credits += credits
        self.wake()

    def returned(self, delivery: LogDelivery) -> None:
        if delivery in self._open:
            self._open.discard(delivery)
            self.wake()

    def wake(self) -> None:
        if not self._is_awake and self._line.is_open:
            self._is_awake = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._is_awake = False
        while (reading := self._reading) is not None and self._may_deliver(reading):
            index, self._next = self._next, self._next + 1
            if index in reading.finished:
                continue
            delivery = LogDelivery(received(reading.topic.messages[index]), index, reading)
            self._open.add(delivery)
            self._deliver(delivery)

    def _may_deliver(self, reading: Reading) -> bool:
        has_next = self._next < len(reading.topic.messages) and len(self._open) < self._credits
        return has_next and self._line.flows


@dataclass(eq=False)
class _Parcel:
    topic: str
    data: bytes
    sent: asyncio.Future[None]


class LogBus(MessageBus):
    """One process's line. `send_s`: how long a send may take. `writes`: as which form."""

    abilities = BusAbilities(durable=True)

    def __init__(self, broker: Broker, *, send_s: float = 0.2) -> None:
        self.broker = broker
        self.subscribers: dict[str, LogSubscription] = {}
        self.readings: dict[str, Reading] = {}
        self.is_open = False
        self.is_frozen = False
        self._is_dead = False
        self.writes: Callable[[Message], bytes] = encode_message
        self._send_s = send_s
        self._outbox: deque[_Parcel] = deque()

    async def start(self) -> None:
        self.is_open = True
        self.broker.lines.append(self)

    async def aclose(self) -> None:
        self.is_open = False
        if self in self.broker.lines:
            self.broker.lines.remove(self)
        for subscription in list(self.subscribers.values()):
            await subscription.aclose()

    @property
    def flows(self) -> bool:
        return self.is_open and not self._is_dead and not self.is_frozen and not self.broker.is_away

    def kill(self) -> None:
        """Its process died: nothing is sent or heard any more."""
        self._is_dead = True
        self._outbox.clear()

    def freeze(self) -> None:
        """Its process is stopped, or it is cut off."""
        self.is_frozen = True

    def thaw(self) -> None:
        self.is_frozen = False
        self._flush()
        for subscription in self.subscribers.values():
            subscription.wake()

    def send(self, topic: str, message: Message) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        sent: asyncio.Future[None] = loop.create_future()
        if not self.is_open:
            sent.set_exception(Unavailable("The message bus is closed."))
            sent.exception()
            return sent
        if self._is_dead:
            return sent
        try:
            data = self.writes(message)
        except Unencodable as error:
            sent.set_exception(error)
            sent.exception()
            return sent
        self._outbox.append(_Parcel(topic, data, sent))
        self._flush()
        if not sent.done():
            loop.call_later(self._send_s, self._expire, sent)
        return sent

    def _flush(self) -> None:
        while self._outbox and self.flows:
            parcel = self._outbox.popleft()
            topic = self.broker.topic(parcel.topic)
            topic.messages.append(parcel.data)
            topic.tell()
            if not self.broker.is_mute and not parcel.sent.done():
                parcel.sent.set_result(None)

    def _expire(self, sent: asyncio.Future[None]) -> None:
        if self.is_frozen:  # its process does not see that time passes
            asyncio.get_running_loop().call_later(self._send_s, self._expire, sent)
        elif not sent.done():
            self._outbox = deque(parcel for parcel in self._outbox if parcel.sent is not sent)
            sent.set_exception(Unavailable("The broker did not take the message in time."))
            sent.exception()  # not every sender waits

    def subscribe(self, topic: str, deliver: Deliver, *, credits: int, whole: bool = False) -> Subscription:
        return LogSubscription(self, topic, deliver, credits, whole=whole)

    async def topics(self, prefix: str) -> tuple[str, ...]:
        return tuple(sorted(name for name in self.broker.topics if name.startswith(prefix)))

    async def remove_topic(self, topic: str) -> None:
        if (subscription := self.subscribers.get(topic)) is not None:
            await subscription.aclose()
        self.broker.topics.pop(topic, None)

    def problem(self) -> str | None:
        if not self.is_open:
            return "the message bus is closed"
        return "the broker is away" if self.broker.is_away else None
