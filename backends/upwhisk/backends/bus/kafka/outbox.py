"""One topic's messages on their way to the broker, in the order of the calls.

At most one batch is under way: the next begins when the broker answered. A batch keeps its identity and sequence number
over every retry, so the broker knows it again and appends it once. A batch whose senders were told that time is up is
still seen through: the broker takes what follows only after it.
"""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from upwhisk.backends.bus.kafka.records import Headers, Identity, batch_of
from upwhisk.common.errors import UpwhiskError

if TYPE_CHECKING:
    from upwhisk.backends.bus.kafka.lane import Lane

BATCH_BYTES = 512 * 1024
"""Several messages make no larger batch than this; a larger message goes alone."""
_SEQUENCES = 2**31


@dataclass(slots=True, eq=False)
class Parcel:
    """`deadline`: loop time at which its sender is told that it failed."""

    payload: bytes
    headers: Headers
    sent: asyncio.Future[None]
    deadline: float


@dataclass(slots=True, eq=False)
class Batch:
    parcels: list[Parcel]
    data: bytes


class Outbox:
    """`lane`: of the broker that leads the topic, None while that is unknown; `is_astray`: it is being looked for.
    `failures`: in a row."""

    __slots__ = (
        "_sequence", "_waiting", "batch", "failures", "identity", "is_astray", "is_closed", "lane", "topic", "waiting_bytes",
    )  # fmt: skip

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.lane: Lane | None = None
        self.batch: Batch | None = None
        self.identity: Identity | None = None
        self.failures = 0
        self.is_astray = False
        self.is_closed = False
        self.waiting_bytes = 0
        self._sequence = 0
        self._waiting: deque[Parcel] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def has_work(self) -> bool:
        return self.batch is not None or bool(self._waiting)

    def unsettled(self) -> list[asyncio.Future[None]]:
        """What senders wait for."""
        under_way = self.batch.parcels if self.batch is not None else []
        return [parcel.sent for parcel in (*under_way, *self._waiting) if not parcel.sent.done()]

    def put(self, parcel: Parcel) -> None:
        self._waiting.append(parcel)
        self.waiting_bytes += len(parcel.payload)

    def identify(self, identity: Identity) -> None:
        """Begin to count anew; a batch that was refused under the old identity is made again."""
        self.identity = identity
        self._sequence = 0
        if self.batch is not None:
            self.batch = Batch(self.batch.parcels, self._encode(self.batch.parcels))

    def load(self) -> Batch | None:
        """The batch to send now: the one under way, or a new one of what waits. Needs an identity."""
        if self.batch is None and self._waiting:
            parcels = [self._pop()]
            size = len(parcels[0].payload)
            while self._waiting and (size := size + len(self._waiting[0].payload)) <= BATCH_BYTES:
                parcels.append(self._pop())
            self.batch = Batch(parcels, self._encode(parcels))
        return self.batch

    def succeeded(self) -> None:
        batch = self._finish()
        self._sequence = (self._sequence + len(batch.parcels)) % _SEQUENCES
        for parcel in batch.parcels:
            if not parcel.sent.done():
                parcel.sent.set_result(None)

    def failed(self, error: UpwhiskError) -> None:
        """The broker refuses the batch for good. Its number may or may not be used up, so a new identity is needed."""
        for parcel in self._finish().parcels:
            _fail(parcel, error)
        self.identity = None

    def refuse_all(self, error: UpwhiskError) -> None:
        """Nothing that waits will be sent."""
        while self._waiting:
            _fail(self._pop(), error)
        if self.batch is not None:
            for parcel in self.batch.parcels:
                _fail(parcel, error)

    def expire(self, now: float, error: UpwhiskError) -> float | None:
        """Tell the senders whose time is up; the deadline of the first that is left."""
        for parcel in self.batch.parcels if self.batch is not None else ():
            if parcel.deadline <= now:
                _fail(parcel, error)
        while self._waiting and self._waiting[0].deadline <= now:
            _fail(self._pop(), error)
        under_way = (
            [p.deadline for p in self.batch.parcels if not p.sent.done()] if self.batch is not None else []
        )
        return under_way[0] if under_way else self._waiting[0].deadline if self._waiting else None

    def _encode(self, parcels: list[Parcel]) -> bytes:
        assert self.identity is not None, "the lane identifies an outbox before it loads from it"
        return batch_of([(p.payload, p.headers) for p in parcels], self.identity, self._sequence)

    def _finish(self) -> Batch:
        assert self.batch is not None, "only what was loaded can be answered"
        batch, self.batch = self.batch, None
        self.failures = 0
        return batch

    def _pop(self) -> Parcel:
        parcel = self._waiting.popleft()
        self.waiting_bytes -= len(parcel.payload)
        return parcel


def _fail(parcel: Parcel, error: UpwhiskError) -> None:
    if not parcel.sent.done():
        parcel.sent.set_exception(copy.copy(error))  # each sender's traceback is its own
        parcel.sent.exception()  # not every sender waits
