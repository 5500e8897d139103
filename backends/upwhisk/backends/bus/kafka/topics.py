"""Topics come into being with their first use, and go with `remove`."""

from __future__ import annotations

import asyncio

import structlog
from aiokafka import errors
from aiokafka.protocol.admin import CreateTopicsRequest, DeleteTopicsRequest

from upwhisk.backends.bus.kafka.cluster import Cluster
from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.common.errors import Unavailable
from upwhisk.common.retry import Backoff
from upwhisk.common.settings import KafkaSettings

log = structlog.get_logger(__name__)

MOST_MESSAGE_BYTES = 32 * 1024 * 1024
_SEGMENT_BYTES = 64 * 1024 * 1024
"""Retention removes whole segments, so small ones keep the disks of small brokers free."""
_HOUR_MS = 3_600_000
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.01, 0.2


class Refused(Unavailable):
    """The broker answers and says no; waiting does not help."""


class Topics:
    def __init__(self, cluster: Cluster, settings: KafkaSettings, deadlines: Deadlines) -> None:
        self._cluster = cluster
        self._settings = settings
        self._deadlines = deadlines

    async def ensure(self, topic: str) -> int:
        """The topic exists when this returns: the broker that leads it. Raises `Unavailable`, or `Refused`."""
        self._cluster.watch(topic)
        backoff = Backoff(_FIRST_LOOK_S, _LONGEST_LOOK_S)
        try:
            async with asyncio.timeout(self._deadlines.send):
                while True:
                    await self._cluster.refresh()
                    if (leader := self._cluster.leader(topic)) is not None:
                        return leader
                    if self._cluster.is_missing(topic):
                        await self._create(topic)
                    elif (error := self._cluster.error(topic)) and not errors.for_code(error).retriable:
                        raise Refused(f"Kafka refuses topic {topic}: {name_of(error)}")
                    await asyncio.sleep(backoff.next_s())
        except TimeoutError:
            raise Unavailable(f"Topic {topic} has no leader.") from None

    async def _create(self, topic: str) -> None:
        replicas = self._settings.replication
        configuration = {
            "cleanup.policy": "delete",
            "retention.ms": str(self._settings.retention_h * _HOUR_MS),
            "segment.bytes": str(_SEGMENT_BYTES),
            "max.message.bytes": str(MOST_MESSAGE_BYTES),
            "min.insync.replicas": str(max(1, replicas - 1)),
            "message.timestamp.type": "LogAppendTime",
            "compression.type": "producer",
        }
        request = (topic, 1, replicas, (), tuple(configuration.items()))
        answer = await self._cluster.ask_controller(CreateTopicsRequest([request], self._timeout_ms, False))
        for name, code, *text in answer.topic_errors:
            error = errors.for_code(code)
            if error in (errors.NoError, errors.TopicAlreadyExistsError):
                log.info("topic created", action="kafka.topic_created", topic=name)
            elif not error.retriable:
                why = text[0] if text and text[0] else name_of(code)
                if error is errors.InvalidReplicationFactorError:
                    why += f" (setting kafka.replication is {replicas})"
                raise Refused(f"Kafka does not create topic {topic}: {why}")

    async def remove(self, topic: str) -> None:
        """Returns when it is gone. Raises `Unavailable`."""
        backoff = Backoff(_FIRST_LOOK_S, _LONGEST_LOOK_S)
        try:
            async with asyncio.timeout(self._deadlines.send):
                while await self._cluster.exists(topic):
                    await self._delete(topic)
                    await asyncio.sleep(backoff.next_s())
        except TimeoutError:
            raise Unavailable(f"Topic {topic} could not be removed in time.") from None
        self._cluster.forget(topic)

    async def _delete(self, topic: str) -> None:
        answer = await self._cluster.ask_controller(DeleteTopicsRequest([topic], self._timeout_ms))
        for _, code in answer.topic_error_codes:
            error = errors.for_code(code)
            if error not in (errors.NoError, errors.UnknownTopicOrPartitionError) and not error.retriable:
                raise Refused(f"Kafka does not remove topic {topic}: {name_of(code)}")

    @property
    def _timeout_ms(self) -> int:
        """Before our own patience with the connection ends."""
        return int(self._deadlines.answer * 800)


def name_of(code: int) -> str:
    error = errors.for_code(code)
    text: str = getattr(error, "message", "") or error.__name__
    return text
