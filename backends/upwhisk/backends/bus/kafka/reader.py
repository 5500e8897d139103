"""Reads one topic from an offset on, over a connection of its own: a fetch that waits would hold up everything behind it."""

from __future__ import annotations

import struct

import structlog
from aiokafka import errors
from aiokafka.protocol.offset import OffsetRequest

from upwhisk.backends.bus.kafka import wire
from upwhisk.backends.bus.kafka.backbone import Backbone
from upwhisk.backends.bus.kafka.link import Link, Unreachable
from upwhisk.backends.bus.kafka.records import Damage, Record, records_from
from upwhisk.backends.bus.kafka.topics import Refused, name_of

log = structlog.get_logger(__name__)

FETCH_BYTES = 1024 * 1024
"""The most that is read ahead, or one batch if that is larger."""
_DAMAGE_TRIES = 3
_EARLIEST = -2


class Reader:
    """`position`: the next offset to read."""

    def __init__(self, topic: str, position: int, backbone: Backbone) -> None:
        self.topic = topic
        self.position = position
        self._backbone = backbone
        self._link: Link | None = None
        self._damaged = 0

    async def read(self) -> list[Record]:
        """At once what there is, else after a while nothing. Raises `Unavailable`."""
        link = await self._connected()
        wait_ms = int(self._backbone.deadlines.poll * 1000)
        request = wire.fetch(self.topic, self.position, wait_ms=wait_ms, max_bytes=FETCH_BYTES)
        try:
            answer = wire.fetched(await link.call(wire.FETCH, request))
            self._backbone.cluster.heard()
            if answer.error == wire.OFFSET_OUT_OF_RANGE:
                await self._go_to_the_beginning()
                return []
            if answer.error:
                raise self._refusal(answer.error)
            records, self.position, damage = records_from(answer.records, self.position)
        except (struct.error, UnicodeError, errors.KafkaError) as error:
            self.close()
            raise Unreachable(f"{self.topic}: an answer makes no sense: {error}") from error
        except Unreachable:
            self.close()
            raise
        if damage is not None and not records:
            self._meet(damage)
        elif records:
            self._damaged = 0
        return records

    def close(self) -> None:
        if self._link is not None:
            self._link.abort()
            self._link = None

    async def _connected(self) -> Link:
        if self._link is None or not self._link.alive:
            self.close()
            backbone = self._backbone
            leader = await backbone.topics.ensure(self.topic)
            patience = backbone.deadlines.poll + backbone.deadlines.answer
            self._link = await backbone.cluster.open(leader, answer_s=patience)
        return self._link

    def _refusal(self, code: int) -> Unreachable | Refused:
        if errors.for_code(code).retriable:
            return Unreachable(f"{self.topic}: {name_of(code)}")
        return Refused(f"Kafka refuses to read {self.topic}: {name_of(code)}")

    def _meet(self, damage: Damage) -> None:
        """The network is asked again; what the disk lost is passed over."""
        self._damaged += 1
        if self._damaged < _DAMAGE_TRIES:
            raise Unreachable(f"{self.topic}: a batch at {damage.offset} has a wrong checksum")
        log.error("damaged batch skipped", action="kafka.damaged", topic=self.topic, offset=damage.offset)
        self.position = max(self.position, damage.next_offset)
        self._damaged = 0

    async def _go_to_the_beginning(self) -> None:
        """The log does not reach the position: retention was faster than we, or the topic was made anew."""
        leader = self._backbone.cluster.leader(self.topic)
        answer = await self._backbone.cluster.ask(
            OffsetRequest(-1, 0, [(self.topic, [(0, _EARLIEST)])]), leader
        )
        [(_, [(_, code, _, earliest)])] = answer.topics
        if code:
            raise self._refusal(code)
        lost = max(0, earliest - self.position)
        log.warning(
            "topic begins anew",
            action="kafka.out_of_range",
            topic=self.topic,
            at=self.position,
            to=earliest,
            lost=lost,
        )
        self._backbone.offsets.restart(self.topic, earliest)
        self.position = earliest
