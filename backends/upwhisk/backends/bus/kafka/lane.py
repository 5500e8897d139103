"""One broker's way in: a connection and a task that sends what is ready, everything of one turn of the loop in one request."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable

import structlog
from aiokafka import errors
from aiokafka.protocol.transaction import InitProducerIdRequest

from upwhisk.backends.bus.kafka import wire
from upwhisk.backends.bus.kafka.cluster import Cluster
from upwhisk.backends.bus.kafka.link import Link, Unreachable
from upwhisk.backends.bus.kafka.outbox import Outbox
from upwhisk.backends.bus.kafka.records import Identity
from upwhisk.backends.bus.kafka.topics import Refused, name_of
from upwhisk.common.errors import InternalError

log = structlog.get_logger(__name__)

_REQUEST_BYTES = 4 * 1024 * 1024
_PATIENCE_MS = 800
"""A second of ours; the broker gives up before we do, so that it can say so."""
_DUPLICATE = 46
_UNKNOWN_IDENTITY = frozenset({45, 47, 59})
"""Out of order, stale epoch, unknown producer: the broker lost what it knew of us, or never had it."""
_TOO_LARGE = frozenset({10, 18})

Stray = Callable[[Outbox, str], None]


class Lane:
    """`stray` takes what cannot be sent here now, and why: the leader is to be looked for again, after a wait.
    `took_at`: loop time at which the broker last took something."""

    def __init__(self, node: int, cluster: Cluster, answer_s: float, stray: Stray) -> None:
        self._node = node
        self._cluster = cluster
        self._answer_s = answer_s
        self._stray = stray
        self._link: Link | None = None
        self._ready: dict[Outbox, None] = {}
        self._wake: asyncio.Future[None] | None = None
        self._is_lost = False
        self.took_at = 0.0

    def add(self, outbox: Outbox) -> None:
        self._ready[outbox] = None
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                if not self._ready:
                    self._wake = loop.create_future()
                    await self._wake
                await self._round()
        finally:
            if self._link is not None:
                self._link.abort()

    async def _round(self) -> None:
        try:
            link = await self._connected()
            while stranger := next((outbox for outbox in self._ready if outbox.identity is None), None):
                stranger.identify(await self._new_identity())
        except Unreachable as error:
            strays, self._ready = list(self._ready), {}
            self._lost(strays, error)
            return
        loaded = self._load()
        if not loaded:
            return
        try:
            body = wire.produce(int(self._answer_s * _PATIENCE_MS), list(loaded.values()))
            answer = await link.call(wire.PRODUCE, body)
            codes = dict(wire.produced(answer))
        except (Unreachable, struct.error, UnicodeError) as error:
            link.abort()
            self._lost(list(loaded), error)
            return
        self._cluster.heard()
        self._is_lost = False
        for outbox in loaded:
            self._settle(outbox, codes.get(outbox.topic, _MISSING))

    async def _connected(self) -> Link:
        if self._link is None or not self._link.alive:
            if self._link is not None:
                self._link.abort()
            self._link = await self._cluster.open(self._node, answer_s=self._answer_s)
        return self._link

    async def _new_identity(self) -> Identity:
        answer = await self._cluster.ask(InitProducerIdRequest(None, 0))
        if answer.error_code:
            raise Unreachable(f"no producer's identity: {name_of(answer.error_code)}")
        return Identity(answer.producer_id, answer.producer_epoch)

    def _load(self) -> dict[Outbox, tuple[str, bytes]]:
        loaded: dict[Outbox, tuple[str, bytes]] = {}
        size = 0
        while self._ready and size < _REQUEST_BYTES:
            outbox = next(iter(self._ready))
            del self._ready[outbox]
            batch = None if outbox.is_closed else outbox.load()
            if batch is not None:
                loaded[outbox] = (outbox.topic, batch.data)
                size += len(batch.data)
        return loaded

    def _settle(self, outbox: Outbox, code: int) -> None:
        if outbox.is_closed:
            return
        if code in (wire.NO_ERROR, _DUPLICATE):
            self.took_at = asyncio.get_running_loop().time()
            outbox.succeeded()
            if outbox.has_work:
                self.add(outbox)
            return
        reason = name_of(code)
        log.warning("batch not taken", action="kafka.not_taken", topic=outbox.topic, reason=reason)
        if code in _UNKNOWN_IDENTITY:
            outbox.identity = None
        elif not errors.for_code(code).retriable:
            outbox.failed(_failure(outbox.topic, code))
        self._stray(outbox, reason)

    def _lost(self, outboxes: list[Outbox], error: Exception) -> None:
        if not self._is_lost:
            self._is_lost = True
            log.warning("sending waits", action="kafka.sending_waits", broker=self._node, reason=str(error))
        for outbox in outboxes:
            self._stray(outbox, str(error))


_MISSING = 3
"""An answer that leaves a topic out is as good as one that does not know it."""


def _failure(topic: str, code: int) -> Refused | InternalError:
    if code in _TOO_LARGE:
        return InternalError(
            f"Kafka takes no message of this size in topic {topic}: its max.message.bytes is too low."
        )
    return Refused(f"Kafka refuses messages for topic {topic}: {name_of(code)}")
