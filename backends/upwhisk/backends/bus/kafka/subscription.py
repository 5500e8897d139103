"""Receiving one topic: fetched ahead within bounds, delivered within the credits, finished in any order."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec
import structlog

from upwhisk.backends.bus.kafka.backbone import Backbone
from upwhisk.backends.bus.kafka.link import Unreachable
from upwhisk.backends.bus.kafka.progress import Progress
from upwhisk.backends.bus.kafka.reader import FETCH_BYTES, Reader
from upwhisk.backends.bus.kafka.records import Record
from upwhisk.common.errors import InternalError, Unavailable
from upwhisk.common.forms import UNREADABLE, Received, Unreadable, received
from upwhisk.common.retry import Backoff
from upwhisk.common.spi.bus import Deliver, Delivery, Subscription
from upwhisk.common.tasks import TaskOwner

log = structlog.get_logger(__name__)

MOST_BUFFERED = 256
MOST_BEHIND = 500_000
"""Finished deliveries that may wait for an unfinished one before them, until nothing more is delivered."""
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 0.02, 1.0


class KafkaDelivery(Delivery):
    """`round`: which start of its subscription it belongs to; others' credits are not its to return."""

    __slots__ = ("_holder", "_is_done", "message", "place", "progress", "round")

    def __init__(self, message: Received, place: int, progress: Progress, holder: KafkaSubscription) -> None:
        self.message = message
        self.place = place
        self.progress = progress
        self.round = holder.round
        self._holder = holder
        self._is_done = False

    def done(self) -> None:
        if not self._is_done:
            self._is_done = True
            self._holder.finished(self)


class KafkaSubscription(Subscription):
    def __init__(
        self, topic: str, deliver: Deliver, credits: int, backbone: Backbone, *, whole: bool = False
    ) -> None:
        self._topic = topic
        self._whole = whole
        self._deliver = deliver
        self._credits = credits
        self._backbone = backbone
        self._buffer: deque[Record] = deque()
        self._buffered_bytes = 0
        self._open = 0
        self.round = 0
        self._pumping = False
        self._room = asyncio.Event()
        self._reader: Reader | None = None
        self._tasks = TaskOwner("kafka-subscription", bound=2)

    async def start(self) -> None:
        """Raises `Unavailable` if the topic cannot be read now."""
        subscribers = self._backbone.subscribers
        holder = subscribers.setdefault(self._topic, self)
        if holder is not self:
            raise InternalError(f"topic {self._topic} has a subscriber already")
        if self._reader is not None:
            return
        try:
            position = await self._begin()
        except BaseException:
            subscribers.pop(self._topic, None)
            raise
        if subscribers.get(self._topic) is not self:
            raise Unavailable("The message bus was closed meanwhile.")
        self._reader = Reader(self._topic, position, self._backbone)
        self._room.set()
        self._tasks.start(self._run(self._reader), "fetch")

    async def _begin(self) -> int:
        backoff = Backoff(_SHORTEST_RETRY_S, _LONGEST_RETRY_S, service="bus")
        reason = "no answer in time"
        try:
            async with asyncio.timeout(self._backbone.deadlines.start):
                while True:
                    try:
                        await self._backbone.topics.ensure(self._topic)
                        return await self._backbone.offsets.begin(self._topic, whole=self._whole)
                    except Unreachable as error:
                        reason = error.text
                    await asyncio.sleep(backoff.next_s())
        except TimeoutError:
            raise Unavailable(f"Topic {self._topic} cannot be read: {reason}") from None

    async def aclose(self) -> None:
        if self._backbone.subscribers.get(self._topic) is self:
            del self._backbone.subscribers[self._topic]
        await self._tasks.aclose(grace_s=0.0)
        if self._reader is None:
            return
        self._reader.close()
        self._reader = None
        self._buffer.clear()
        self._buffered_bytes = self._open = 0
        self.round += 1
        await self._backbone.offsets.flush()

    def grant(self, credits: int) -> None:
        self._credits += credits
        self.pump()

    def finished(self, delivery: KafkaDelivery) -> None:
        if delivery.progress.finish(delivery.place):
            self._backbone.offsets.moved()
        if delivery.round == self.round:
            self._open -= 1
            self.pump()

    # -- reading ahead --------------------------------------------------------------------------------------------

    async def _run(self, reader: Reader) -> None:
        backoff = Backoff(_SHORTEST_RETRY_S, _LONGEST_RETRY_S, service="bus")
        while True:
            await self._room.wait()
            try:
                records = await reader.read()
            except Unavailable as error:
                if not backoff.failures:
                    log.warning(
                        "topic cannot be read", action="kafka.not_read", topic=self._topic, reason=error.text
                    )
                await asyncio.sleep(backoff.next_s())
                continue
            backoff.reset()
            self._buffer.extend(records)
            self._buffered_bytes += sum(len(record.value or b"") for record in records)
            try:
                self.pump()
            except Exception:
                log.exception("subscriber failed", action="kafka.subscriber_failed", topic=self._topic)

    # -- handing over ---------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Hand over what credits allow. A consumer that sends, grants or finishes inside `deliver` comes back here:
        the outermost call goes on for it, so the order stays and the stack does not grow."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._buffer and self._open < self._credits and self._reader is not None:
                progress = self._backbone.offsets.progress(self._topic)
                if len(progress) >= MOST_BEHIND:
                    break
                self._hand_over(self._pop(), progress)
        finally:
            self._pumping = False
        if len(self._buffer) < MOST_BUFFERED and self._buffered_bytes < FETCH_BYTES:
            self._room.set()
        else:
            self._room.clear()

    def _pop(self) -> Record:
        record = self._buffer.popleft()
        self._buffered_bytes -= len(record.value or b"")
        return record

    def _hand_over(self, record: Record, progress: Progress) -> None:
        if not progress.take(record.offset):
            self._backbone.offsets.moved()
            return
        message = self._decoded(record)
        if message is None:
            progress.finish(record.offset)
            self._backbone.offsets.moved()
            return
        self._open += 1
        self._deliver(KafkaDelivery(message, record.offset, progress, self))

    def _decoded(self, record: Record) -> Received | None:
        """None for what is no message of ours: said, counted, and passed over."""
        try:
            message = received(record.value or b"")
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            self._say_unreadable(record, "unknown", str(error))
            return None
        if isinstance(message, Unreadable):
            self._say_unreadable(record, message.type, message.reason)
        return message

    def _say_unreadable(self, record: Record, tag: str, reason: str) -> None:
        UNREADABLE[tag] += 1
        form = next((value for name, value in record.headers if name == "form"), b"?")
        log.error(
            "unreadable message",
            action="kafka.unreadable",
            topic=self._topic,
            offset=record.offset,
            message=tag,
            form=form.decode("ascii", "replace"),
            reason=reason[:200],
        )
