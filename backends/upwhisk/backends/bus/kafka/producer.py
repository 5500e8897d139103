"""Sending: an outbox for each topic, a lane for each broker, and a router that brings them together."""

from __future__ import annotations

import asyncio
import math

import structlog

from upwhisk.backends.bus.kafka.cluster import Cluster
from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.backends.bus.kafka.lane import Lane
from upwhisk.backends.bus.kafka.link import Unreachable
from upwhisk.backends.bus.kafka.outbox import Outbox, Parcel
from upwhisk.backends.bus.kafka.records import record_of
from upwhisk.backends.bus.kafka.topics import MOST_MESSAGE_BYTES, Refused, Topics
from upwhisk.common.errors import InternalError, Unavailable, UpwhiskError
from upwhisk.common.messages import Message, Unencodable
from upwhisk.common.resource import Resource
from upwhisk.common.retry import RETRIES, backoff_s
from upwhisk.common.tasks import TaskOwner

log = structlog.get_logger(__name__)

MOST_WAITING = 10_000
MOST_WAITING_BYTES = 128 * 1024 * 1024
_RECORD_OVERHEAD = 1024
_HICCUP_S = 0.5
"""A leader that changes is no trouble yet."""
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 0.02, 1.0


class Producer(Resource):
    """`trouble`: why nothing is taken any more, though brokers answer; None once something is."""

    def __init__(self, cluster: Cluster, topics: Topics, deadlines: Deadlines) -> None:
        self._cluster = cluster
        self._topics = topics
        self._deadlines = deadlines
        self._outboxes: dict[str, Outbox] = {}
        self._lanes: dict[int, Lane] = {}
        self._astray: dict[Outbox, None] = {}
        self._troubles: dict[Outbox, tuple[float, str]] = {}
        self._found_astray = asyncio.Event()
        self._expiry: asyncio.TimerHandle | None = None
        self._is_open = False
        self._tasks = TaskOwner("kafka-producer", bound=1000)

    async def start(self) -> None:
        self._is_open = True
        self._tasks.start(self._route(), "router")

    async def aclose(self) -> None:
        """What is under way has a moment to arrive; what is left fails."""
        if self._is_open:
            self._is_open = False
            await self._flush()
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        await self._tasks.aclose(grace_s=0.0)
        for outbox in self._outboxes.values():
            outbox.is_closed = True
            outbox.refuse_all(Unavailable("The message bus is closed."))
        self._outboxes.clear()

    async def _flush(self) -> None:
        waiting = [sent for outbox in self._outboxes.values() for sent in outbox.unsettled()]
        if waiting:
            await asyncio.wait(waiting, timeout=self._deadlines.flush)

    @property
    def trouble(self) -> str | None:
        if not self._troubles:
            return None
        for outbox in [o for o in self._troubles if not o.failures or not o.has_work]:
            del self._troubles[outbox]
        since, reason = next(iter(self._troubles.values()), (math.inf, ""))
        lasts = asyncio.get_running_loop().time() - since > _HICCUP_S
        return reason if lasts and not any(lane.took_at >= since for lane in self._lanes.values()) else None

    def send(self, topic: str, message: Message) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        sent: asyncio.Future[None] = loop.create_future()
        if not self._is_open:
            return _failed(sent, Unavailable("The message bus is closed."))
        try:
            payload, headers = record_of(message)
        except Unencodable as error:
            return _failed(sent, error)
        outbox = self._outboxes.get(topic)
        if outbox is None:
            outbox = self._outboxes[topic] = Outbox(topic)
        refusal = _refusal(outbox, len(payload))
        if refusal is not None:
            return _failed(sent, refusal)
        deadline = loop.time() + self._deadlines.send
        outbox.put(Parcel(payload, headers, sent, deadline))
        if outbox.lane is None:
            if not outbox.is_astray:
                self._wait_for_leader(outbox)
        elif outbox.batch is None:
            outbox.lane.add(outbox)
        if self._expiry is None:
            self._expiry = loop.call_at(deadline, self._expire)
        return sent

    def remove(self, topic: str) -> None:
        """What waits for the topic fails."""
        outbox = self._outboxes.pop(topic, None)
        if outbox is not None:
            outbox.is_closed = True
            outbox.refuse_all(Unavailable(f"Topic {topic} was removed."))

    # -- who sends it ---------------------------------------------------------------------------------------------

    def _stray(self, outbox: Outbox, reason: str) -> None:
        outbox.failures += 1
        self._wait_for_leader(outbox)
        if outbox.is_astray:
            since, _ = self._troubles.get(outbox, (asyncio.get_running_loop().time(), ""))
            self._troubles[outbox] = since, reason
        else:
            self._troubles.pop(outbox, None)

    def _wait_for_leader(self, outbox: Outbox) -> None:
        outbox.lane = None
        outbox.is_astray = outbox.has_work and not outbox.is_closed
        if outbox.is_astray:
            self._astray[outbox] = None
            self._found_astray.set()

    async def _route(self) -> None:
        """Topics that are new at once, those that failed after a wait that grows."""
        retry_at, loop = 0.0, asyncio.get_running_loop()
        while True:
            failed = max((outbox.failures for outbox in self._astray), default=0)
            if failed and not retry_at:
                retry_at = loop.time() + backoff_s(
                    failed - 1, first_s=_SHORTEST_RETRY_S, longest_s=_LONGEST_RETRY_S
                )
            await self._wait_for_astray(retry_at)
            everybody = loop.time() >= retry_at
            due = [outbox for outbox in self._astray if everybody or not outbox.failures]
            for outbox in due:
                del self._astray[outbox]
            RETRIES["bus"] += sum(1 for outbox in due if outbox.failures)
            retry_at = 0.0 if everybody else retry_at
            await self._place([outbox for outbox in due if not outbox.is_closed])

    async def _wait_for_astray(self, retry_at: float) -> None:
        """Until more came, or at `retry_at` (0: never)."""
        self._found_astray.clear()
        if any(not outbox.failures for outbox in self._astray):
            return
        try:
            async with asyncio.timeout_at(retry_at or None):
                await self._found_astray.wait()
        except TimeoutError:
            return

    async def _place(self, astray: list[Outbox]) -> None:
        if not astray:
            return
        for outbox in astray:
            self._cluster.watch(outbox.topic)
        try:
            await self._cluster.refresh()
        except Unreachable as error:
            for outbox in astray:
                self._stray(outbox, error.text)
            return
        for outbox in astray:
            await self._place_one(outbox)

    async def _place_one(self, outbox: Outbox) -> None:
        leader = self._cluster.leader(outbox.topic)
        try:
            if leader is None:
                leader = await self._topics.ensure(outbox.topic)
        except Refused as error:
            outbox.refuse_all(error)
            self._stray(outbox, error.text)
        except Unavailable as error:
            log.warning(
                "topic has no leader", action="kafka.no_leader", topic=outbox.topic, reason=error.text
            )
            self._stray(outbox, error.text)
        else:
            outbox.lane, outbox.is_astray = self._lane(leader), False
            if outbox.has_work:
                outbox.lane.add(outbox)

    def _lane(self, node: int) -> Lane:
        lane = self._lanes.get(node)
        if lane is None:
            lane = self._lanes[node] = Lane(node, self._cluster, self._deadlines.answer, self._stray)
            self._tasks.start(lane.run(), f"lane-{node}")
        return lane

    # -- who has waited long enough -------------------------------------------------------------------------------

    def _expire(self) -> None:
        loop = asyncio.get_running_loop()
        why = self._cluster.trouble or self.trouble
        error: UpwhiskError = Unavailable(
            f"Kafka did not take the message in time{f': {why}' if why else '.'}"
        )
        left = [outbox.expire(loop.time(), error) for outbox in self._outboxes.values()]
        deadlines = [deadline for deadline in left if deadline is not None]
        self._expiry = loop.call_at(min(deadlines), self._expire) if deadlines else None


def _refusal(outbox: Outbox, size: int) -> UpwhiskError | None:
    """Why a message of `size` bytes is not taken, or None."""
    if size > MOST_MESSAGE_BYTES - _RECORD_OVERHEAD:
        return InternalError(f"A message of {size} bytes is too large for the bus.")
    full = len(outbox) >= MOST_WAITING or (outbox.waiting_bytes and outbox.waiting_bytes + size > MOST_WAITING_BYTES)
    return Unavailable(f"The message bus is full: {len(outbox)} messages wait in {outbox.topic}.") if full else None


def _failed(sent: asyncio.Future[None], error: UpwhiskError) -> asyncio.Future[None]:
    sent.set_exception(error)
    sent.exception()  # not every sender waits
    return sent
