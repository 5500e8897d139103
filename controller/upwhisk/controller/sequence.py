"""Sequences: every one under way, each with its own id, accepted like any work. A crash ends none (`sequence_run.py`)."""

from __future__ import annotations

import asyncio

import structlog

from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.identity import Identity
from upwhisk.common.retry import kept_trying
from upwhisk.common.tasks import TaskOwner
from upwhisk.controller.sequence_record import Progress
from upwhisk.controller.sequence_run import SequencePorts, SequenceRun
from upwhisk.loadbalancer.pending import Stopping

log = structlog.get_logger(__name__)

MOST_OPEN = 10_000
_MOST_TASKS = 1_000_000
"""With those within others, whose number is bounded by the length of each."""


class Sequences:
    """Owns every sequence under way."""

    def __init__(self, ports: SequencePorts) -> None:
        self._ports = ports
        self._tasks = TaskOwner("sequence", bound=_MOST_TASKS)
        self._open: dict[ActivationId, str] = {}
        self._running: dict[asyncio.Task[None], str] = {}

    def refusal(self) -> str | None:
        """Why no caller can begin another one, or None."""
        return f"{MOST_OPEN} sequences are under way" if len(self._open) >= MOST_OPEN else None

    async def begin(
        self, message: ActivationMessage, identity: Identity, *, accepted: bool = False
    ) -> asyncio.Future[Activation]:
        """Accept a sequence and start it; the future resolves with its record."""
        message.journalled = True
        if not accepted:
            await self._ports.store.journal.accept([message])
        return self.go_on(message, identity, Progress(), {})

    def go_on(
        self,
        message: ActivationMessage,
        identity: Identity | None,
        progress: Progress,
        under_way: dict[ActivationId, asyncio.Future[Activation]],
    ) -> asyncio.Future[Activation]:
        """Run from `progress`; `under_way` holds the outcomes of components that run again after a crash.

        `identity` None: it is made of the message and of what its namespace may use now.
        """
        done: asyncio.Future[Activation] = asyncio.get_running_loop().create_future()
        if not self._ports.store.journal.holds(message):
            # Its log was lost in the moment in which it was accepted: nobody could give it up yet, and it goes on elsewhere.
            done.set_exception(Stopping())
            done.exception()
            return done
        self._open[message.activation_id] = message.namespace
        run = SequenceRun(self.begin, self._ports, message, identity, progress, under_way)
        task = self._tasks.start(self._finish(run, done), "sequence")
        self._running[task] = message.controller
        task.add_done_callback(lambda ended: self._running.pop(ended, None))
        return done

    def give_up(self, controller: str) -> None:
        """Stop the sequences whose journal is another controller's now: they go on there."""
        for task, owner in list(self._running.items()):
            if owner == controller:
                task.cancel()

    async def _finish(self, run: SequenceRun, done: asyncio.Future[Activation]) -> None:
        journal = self._ports.store.journal
        try:
            record = await run.to_end()
            await kept_trying(lambda: journal.end(run.message, record), what="record of a sequence")
            if not done.done():
                done.set_result(record)
        except Stopping as stopping:  # a sequence around this one goes on at the next start too
            log.info("sequence goes on at the next start", action="sequence.stopped", id=run.message.activation_id)
            if not done.done():
                done.set_exception(stopping)
                done.exception()
        finally:
            self._open.pop(run.message.activation_id, None)
            if not done.done():
                done.set_exception(Unavailable())
                done.exception()  # not every caller waits

    def phase_of(self, namespace: str, id: ActivationId) -> str | None:
        return "running" if self._open.get(id) == namespace else None

    def ids(self) -> list[ActivationId]:
        return list(self._open)

    @property
    def open(self) -> int:
        return len(self._open)

    async def aclose(self) -> None:
        """What is under way stops where it is and goes on at the next start."""
        await self._tasks.aclose(grace_s=0.0)
