"""After a start: every accepted activation goes on or gets its record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.action import SEQUENCE
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.identity import Identity, NamespaceLimits
from upwhisk.common.retry import kept_trying
from upwhisk.common.spi.store import ArtifactStore, JournalEntry
from upwhisk.common.unfinished import lost
from upwhisk.controller.sequence import Sequences
from upwhisk.controller.sequence_record import Progress, decode_progress
from upwhisk.loadbalancer.balancer import Balancer
from upwhisk.loadbalancer.pending import Pending

log = structlog.get_logger(__name__)

MAX_ATTEMPTS = 3
STARTED = "The platform stopped while the action was running; it is not annotated retry-safe, so it was not run again."
TRIED = f"The platform stopped while the action was running, {MAX_ATTEMPTS} times."
EXPIRED = "The activation waited in the queue for longer than {:.0f} s."


class Verdict(Enum):
    RUN = auto()
    GO_ON = auto()
    END_STARTED = auto()
    END_TRIED = auto()
    END_EXPIRED = auto()


def judge(entry: JournalEntry, *, now_ms: int, max_age_s: float) -> Verdict:
    """What becomes of accepted work that has no record. Pure.

    Work that had not started runs; work that had started runs again only if it is retry-safe, and at most three
    times in all; a sequence goes on from its progress.
    """
    message = entry.message
    if message.demand.kind == SEQUENCE:
        return Verdict.GO_ON
    if entry.attempt == 0:
        expired = now_ms - message.accepted_ms > max_age_s * 1000
        return Verdict.END_EXPIRED if expired else Verdict.RUN
    if not message.retry_safe:
        return Verdict.END_STARTED
    return Verdict.RUN if entry.attempt < MAX_ATTEMPTS else Verdict.END_TRIED


@dataclass(frozen=True, slots=True)
class RecoveryPorts:
    store: ArtifactStore
    balancer: Balancer
    sequences: Sequences
    clock: Clock
    max_age_s: float


class Recovery:
    """Ends or publishes what the journal holds; `expire` ends what the balancer gives up."""

    def __init__(self, ports: RecoveryPorts) -> None:
        self._ports = ports

    async def run(self) -> int:
        """Take up all that the journal holds; the nodes need not be there yet."""
        return await self.take_up(await self._ports.store.journal.pending())

    async def take_up(self, entries: Sequence[JournalEntry]) -> int:
        """Returns how many entries were taken up. Work that a living node still has stays there."""
        under_way: dict[ActivationId, asyncio.Future[Activation]] = {}
        now_ms = self._ports.clock.now_ms()
        sequences: list[JournalEntry] = []
        ending = []
        for entry in entries:
            if entry.message.demand.kind != SEQUENCE and self._ports.balancer.is_alive(entry.message):
                under_way[entry.message.activation_id] = self._ports.balancer.adopt(_taken_up(entry))
                continue
            match judge(entry, now_ms=now_ms, max_age_s=self._ports.max_age_s):
                case Verdict.RUN:
                    under_way[entry.message.activation_id] = self._publish(entry)
                case Verdict.GO_ON:
                    sequences.append(entry)
                case Verdict.END_STARTED:
                    ending.append(self._end(entry.message, STARTED))
                case Verdict.END_TRIED:
                    ending.append(self._end(entry.message, TRIED))
                case Verdict.END_EXPIRED:
                    ending.append(self._end(entry.message, EXPIRED.format(self._ports.max_age_s)))
        await asyncio.gather(*ending)
        self._go_on(sequences, under_way)
        if entries:
            log.info("recovered", action="recovery.done", entries=len(entries), ended=len(ending))
        return len(entries)

    def _publish(self, entry: JournalEntry) -> asyncio.Future[Activation]:
        message = _taken_up(entry)
        message.attempt = entry.attempt + 1
        return self._ports.balancer.publish(message)

    def _go_on(
        self, entries: Sequence[JournalEntry], under_way: dict[ActivationId, asyncio.Future[Activation]]
    ) -> None:
        """Inner sequences first, so that outer ones find them under way."""
        for entry in reversed(entries):
            progress = Progress()
            if entry.progress is not None:
                progress = decode_progress(entry.progress)
            message = entry.message
            identity = Identity(message.subject, message.namespace, message.namespace_uuid, _limits(message))
            done = self._ports.sequences.go_on(message, identity, progress, under_way)
            under_way[message.activation_id] = done

    async def _end(self, message: ActivationMessage, reason: str) -> Activation:
        journal = self._ports.store.journal
        record = lost(message, reason, now_ms=self._ports.clock.now_ms())

        async def settle() -> None:
            if message.stored:
                await journal.settle(record)
            else:
                await journal.discard(message.activation_id)

        await kept_trying(settle, what="end of work that cannot go on")
        return record

    async def expire(self, pending: Pending) -> None:
        """End work that the balancer gave up, and tell who waits for it."""
        record = await self._end(pending.message, EXPIRED.format(self._ports.max_age_s))
        if not pending.done.done():
            pending.done.set_result(record)


def _taken_up(entry: JournalEntry) -> ActivationMessage:
    message = entry.message
    message.blocking = False
    message.journalled = True
    return message


def _limits(message: ActivationMessage) -> NamespaceLimits:
    return NamespaceLimits() if message.stored else NamespaceLimits(store_activations=False)
