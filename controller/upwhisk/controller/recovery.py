"""After a start: every accepted activation goes on or gets its record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import MAX_ATTEMPTS, ActivationMessage
from upwhisk.common.model.action import SEQUENCE
from upwhisk.common.model.activation import Activation
from upwhisk.common.retry import kept_trying
from upwhisk.common.spi.store import ArtifactStore, JournalEntry
from upwhisk.common.unfinished import lost
from upwhisk.controller.sequence import Sequences
from upwhisk.controller.sequence_record import Progress, decode_progress
from upwhisk.controller.verdict import Verdict, judge
from upwhisk.loadbalancer.balancer import Balancer
from upwhisk.loadbalancer.pending import Pending

log = structlog.get_logger(__name__)

STARTED = "The platform stopped while the action was running; it is not annotated retry-safe, so it was not run again."
TRIED = f"The platform stopped while the action was running, {MAX_ATTEMPTS} times."
EXPIRED = "The activation waited in the queue for longer than {:.0f} s."


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
        """Returns how many entries were taken up. Work that a node was handed stays there, unless the node is lost."""
        under_way: dict[ActivationId, asyncio.Future[Activation]] = {}
        sequences: list[JournalEntry] = []
        ending = []
        for entry in entries:
            message = _taken_up(entry)
            if message.demand.kind != SEQUENCE and self._ports.balancer.was_handed(message):
                under_way[message.activation_id] = self._ports.balancer.adopt(message)
                continue
            match self._verdict(entry):
                case Verdict.RUN:
                    message.attempt = entry.attempt + 1
                    under_way[message.activation_id] = self._ports.balancer.publish(message)
                case Verdict.GO_ON:
                    sequences.append(entry)
                case Verdict.END_STARTED:
                    ending.append(self._end(message, STARTED))
                case Verdict.END_TRIED:
                    ending.append(self._end(message, TRIED))
                case Verdict.END_EXPIRED:
                    ending.append(self._end(message, EXPIRED.format(self._ports.max_age_s)))
        await asyncio.gather(*ending)
        self._go_on(sequences, under_way)
        if entries:
            log.info("recovered", action="recovery.done", entries=len(entries), ended=len(ending))
        return len(entries)

    def _verdict(self, entry: JournalEntry) -> Verdict:
        now_ms, max_age_s = self._ports.clock.now_ms(), self._ports.max_age_s
        return judge(entry.message, entry.attempt, now_ms=now_ms, max_age_s=max_age_s)

    def _go_on(
        self, entries: Sequence[JournalEntry], under_way: dict[ActivationId, asyncio.Future[Activation]]
    ) -> None:
        """Inner sequences first, so that outer ones find them under way."""
        for entry in reversed(entries):
            progress = Progress()
            if entry.progress is not None:
                progress = decode_progress(entry.progress)
            under_way[entry.message.activation_id] = self._ports.sequences.go_on(
                entry.message, None, progress, under_way
            )

    async def _end(self, message: ActivationMessage, reason: str) -> Activation:
        record = lost(message, reason, now_ms=self._ports.clock.now_ms())
        journal = self._ports.store.journal
        await kept_trying(lambda: journal.end(message, record), what="end of work that cannot go on")
        return record

    async def expire(self, pending: Pending) -> None:
        """End work that the balancer gave up, and tell who waits for it."""
        record = await self._end(pending.message, EXPIRED.format(self._ports.max_age_s))
        if self._ports.balancer.work.holds(pending):  # else a node's outcome came before
            self._ports.balancer.resolve(pending, record)


def _taken_up(entry: JournalEntry) -> ActivationMessage:
    message = entry.message
    message.blocking = False
    message.journalled = True
    return message
