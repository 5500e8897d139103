"""How far each topic is consumed, as the brokers keep it: one consumer group a topic, without members.

Positions are committed in batches and again every hour: brokers forget those of groups that are silent for a week.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from aiokafka import errors
from aiokafka.protocol.admin import DeleteGroupsRequest
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest

from upwhisk.backends.bus.kafka.cluster import Cluster
from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.backends.bus.kafka.link import Unreachable
from upwhisk.backends.bus.kafka.progress import Progress
from upwhisk.backends.bus.kafka.topics import Refused, name_of
from upwhisk.common.errors import Unavailable
from upwhisk.common.resource import Resource
from upwhisk.common.retry import Backoff
from upwhisk.common.tasks import TaskOwner

log = structlog.get_logger(__name__)

_REMINDER_S = 3600.0
_UNKNOWN_TOPIC = 3
_SHORTEST_RETRY_S, _LONGEST_RETRY_S = 0.02, 1.0


class Offsets(Resource):
    """`progress` of every topic that this process consumes or consumed: deliveries are finished after their subscription
    is closed, too."""

    def __init__(self, cluster: Cluster, deadlines: Deadlines) -> None:
        self._cluster = cluster
        self._deadlines = deadlines
        self._progress: dict[str, Progress] = {}
        self._committed: dict[str, tuple[int, float]] = {}
        self._coordinators: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._tasks = TaskOwner("kafka-offsets", bound=4)

    async def start(self) -> None:
        self._tasks.start(self._run(), "commits")

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
        await self.flush()

    async def flush(self) -> None:
        """Commit what is finished by now. If it cannot be, it may be delivered again one day."""
        try:
            async with asyncio.timeout(self._deadlines.flush):
                await self._commit()
        except (TimeoutError, Unavailable) as error:
            log.warning("consumed messages may come again", action="kafka.not_committed", reason=str(error))

    def progress(self, topic: str) -> Progress:
        found = self._progress.get(topic)
        if found is None:
            found = self._progress[topic] = Progress()
        return found

    def restart(self, topic: str, position: int) -> None:
        """The topic's log begins anew: what is finished of the old one says nothing about it."""
        progress = self._progress[topic] = Progress()
        progress.begin(position)

    def moved(self) -> None:
        """Some position did; it is committed soon."""
        self._changed.set()

    async def committed(self, topic: str) -> int:
        """0 if nothing was. Raises `Unavailable`."""
        backoff = Backoff(_SHORTEST_RETRY_S, _LONGEST_RETRY_S, service="bus")
        while True:
            answer = await self._ask(topic, OffsetFetchRequest(topic, [(topic, [0])]))
            rows = [(offset, code) for _, partitions in answer.topics for _, offset, _, code in partitions]
            error = answer.error_code or max((code for _, code in rows), default=0)
            if not error:
                return int(max([0, *(offset for offset, _ in rows)]))
            self._refused(topic, error)
            await asyncio.sleep(backoff.next_s())

    async def begin(self, topic: str, *, whole: bool = False) -> int:
        """Consumption begins, or goes on: the offset to read from. `whole`: what this process has finished behind that
        counts for nothing. It is committed at once, so that who may not commit learns it now. Raises `Unavailable`."""
        committed = await self.committed(topic)
        if whole:
            self._progress.pop(topic, None)
        position = self.progress(topic).begin(committed)
        await self._commit_one(topic, position)
        return position

    async def forget(self, topic: str) -> None:
        """The broker drops the offsets of removed topics by itself, but later."""
        self._progress.pop(topic, None)
        self._committed.pop(topic, None)
        try:
            await self._ask(topic, DeleteGroupsRequest([topic]))
        except Unavailable as error:
            log.info("group not removed", action="kafka.group_left", topic=topic, reason=error.text)

    # -- committing -----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        backoff = Backoff(self._deadlines.commit, 5.0, service="bus")
        while True:
            try:
                async with asyncio.timeout(_REMINDER_S):
                    await self._changed.wait()
            except TimeoutError:
                pass  # say them again
            await asyncio.sleep(self._deadlines.commit)
            self._changed.clear()
            try:
                await self._commit()
                backoff.reset()
            except Unavailable as error:
                if not backoff.failures:
                    log.warning("offsets not committed", action="kafka.commit_failed", reason=error.text)
                self._changed.set()
                await asyncio.sleep(backoff.next_s())

    async def _commit(self) -> None:
        """Every position that moved; what one topic meets does not hold up the others."""
        now, failure = time.monotonic(), None
        for topic, progress in list(self._progress.items()):
            position = progress.position
            known, at = self._committed.get(topic, (None, now))
            if position is not None and (position != known or now - at >= _REMINDER_S):
                try:
                    await self._commit_one(topic, position)
                except Unavailable as error:
                    failure = error
        if failure is not None:
            raise failure

    async def _commit_one(self, topic: str, position: int) -> None:
        answer = await self._ask(
            topic, OffsetCommitRequest(topic, -1, "", -1, [(topic, [(0, position, "")])])
        )
        error = max(code for _, partitions in answer.topics for _, code in partitions)
        if error == _UNKNOWN_TOPIC:
            log.info("position in a topic that is gone", action="kafka.topic_gone", topic=topic)
        elif error:
            self._refused(topic, error)
            raise Unreachable(f"{topic}: {name_of(error)}")
        self._committed[topic] = (position, time.monotonic())

    def _refused(self, topic: str, error: int) -> None:
        """Raises `Refused` if waiting does not help."""
        self._coordinators.pop(topic, None)
        if not errors.for_code(error).retriable:
            raise Refused(f"Kafka refuses offsets of {topic}: {name_of(error)}")

    async def _ask(self, group: str, request: Any) -> Any:
        """Ask the broker that keeps the group's offsets."""
        known = self._coordinators.get(group)
        if known is None:
            answer = await self._cluster.ask(FindCoordinatorRequest(group, 0))
            if answer.error_code:
                self._refused(group, answer.error_code)
                raise Unreachable(f"no coordinator for group {group}: {name_of(answer.error_code)}")
            known = self._coordinators[group] = answer.coordinator_id
        try:
            return await self._cluster.ask(request, known)
        except Unreachable:
            self._coordinators.pop(group, None)
            raise
