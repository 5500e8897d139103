"""Topics of a bus in the model: nothing moves unless it is told to, and everything may come late, twice, or after its sender's end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from upwhisk.common.messages import Message, decode_message, encode_message
from upwhisk.common.spi.bus import Delivery


@dataclass
class Topic:
    """`life`: how often it was made anew. `marks`: from where its readers have said that they need it."""

    messages: list[bytes] = field(default_factory=list)
    marks: list[int] = field(default_factory=lambda: [0])
    life: int = 0
    exists: bool = True


class ModelDelivery(Delivery):
    def __init__(self, message: Message, index: int, reading: Reading) -> None:
        self.message = message
        self.place = index
        self._reading = reading

    def done(self) -> None:
        self._reading.finish(self.place)


class Reading:
    """One reader of one topic, from a mark on."""

    def __init__(self, topic: Topic, start: int) -> None:
        self.topic = topic
        self.life = topic.life
        self.next = start
        self._finished: set[int] = set()
        self._position = start

    def step(self) -> ModelDelivery | None:
        """The next message that is there."""
        if not self.topic.exists:
            return None
        if self.topic.life != self.life:  # it was removed and made anew: whatever reads it goes to its beginning
            self.life, self.next, self._finished, self._position = self.topic.life, 0, set(), 0
        if self.next >= len(self.topic.messages):
            return None
        index = self.next
        self.next += 1
        return ModelDelivery(decode_message(self.topic.messages[index]), index, self)

    def finish(self, index: int) -> None:
        if self.topic.life != self.life or not self.topic.exists:
            return
        self._finished.add(index)
        while self._position in self._finished:
            self._position += 1
        if self.topic.marks[-1] != self._position:
            self.topic.marks.append(self._position)


@dataclass(eq=False)
class Parcel:
    """On its way. `arrived` is called when it is in its topic, if its sender still lives then."""

    topic: str
    payload: bytes
    arrived: Callable[[], None] | None


class Bus:
    """Parcels of one sender to one topic keep their order; those of several do not."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.on_their_way: dict[tuple[str, str], deque[Parcel]] = {}
        self.slow: set[tuple[str, str]] = set()
        """Lanes on which nothing arrives for now."""
        self.past: list[tuple[str, Topic]] = []

    def topic(self, name: str) -> Topic:
        found = self.topics.get(name)
        if found is None:
            found = self.topics[name] = Topic()
        if not found.exists:
            self.past.append((name, Topic(found.messages, life=found.life)))
            found.messages, found.marks, found.life, found.exists = [], [0], found.life + 1, True
        return found

    def exists(self, name: str) -> bool:
        return name in self.topics and self.topics[name].exists

    def remove(self, name: str) -> None:
        self.topics[name].exists = False

    def send(self, sender: str, topic: str, message: Message, arrived: Callable[[], None] | None = None) -> None:
        parcel = Parcel(topic, encode_message(message), arrived)
        self.on_their_way.setdefault((sender, topic), deque()).append(parcel)

    def lanes(self) -> list[tuple[str, str]]:
        return [lane for lane in self.on_their_way if lane not in self.slow]

    def carry(self, lane: tuple[str, str]) -> None:
        """The oldest of a lane arrives."""
        parcels = self.on_their_way[lane]
        parcel = parcels.popleft()
        if not parcels:
            del self.on_their_way[lane]
        self.topic(parcel.topic).messages.append(parcel.payload)
        if parcel.arrived is not None:
            parcel.arrived()

    def sender_died(self, sender: str) -> None:
        """What it sent may still arrive; nobody is told."""
        for (who, _), parcels in self.on_their_way.items():
            if who == sender:
                for parcel in parcels:
                    parcel.arrived = None

    def drop(self, lane: tuple[str, str]) -> None:
        """The rest of a dead sender's lane never arrives."""
        del self.on_their_way[lane]

    def logs(self) -> list[tuple[str, list[Message]]]:
        """Everything that every log ever held, each life by itself."""
        every = [*self.past, *self.topics.items()]
        return [(name, [decode_message(m) for m in t.messages]) for name, t in every if name.startswith("completed-")]
