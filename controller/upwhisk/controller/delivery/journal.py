"""The journal of a fleet: entries of the controllers' logs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from upwhisk.common.ids import ActivationId, ControllerId, NodeId
from upwhisk.common.messages import (
    Accepted,
    ActivationMessage,
    Begun,
    Discarded,
    Dispatched,
    Entry,
    Noted,
    Settled,
)
from upwhisk.common.model.activation import Activation
from upwhisk.common.spi.store import Journal, JournalEntry
from upwhisk.controller.delivery.hosting import Hosting
from upwhisk.controller.delivery.log import ControllerLog

T = TypeVar("T")


class LogJournal(Journal):
    """What belongs to a composition goes to the log that holds it, else to the log that holds the id, else to our own."""

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting

    def accept(self, messages: Sequence[ActivationMessage], records: Sequence[Activation] = ()) -> Awaitable[None]:
        log = self._hosting.log_of(messages[0].cause if messages else None)
        for message in messages:
            message.controller = ControllerId(log.name)
        return _none(log.append([Accepted(messages=tuple(messages), records=tuple(records))]))

    def dispatching(self, message: ActivationMessage) -> asyncio.Future[bool]:
        """Durable before the message is sent to its node. False: it must not be sent, the work has gone on meanwhile."""
        entry = Dispatched(
            activation_id=message.activation_id,
            node=message.node,
            incarnation=message.incarnation,
            dispatch=message.dispatch,
            attempt=message.attempt,
        )
        return _mapped(self._hosting.log_of(message.activation_id).append([entry]), lambda results: results[0])

    def begin(self, id: ActivationId, attempt: int) -> Awaitable[None]:
        return self._write(id, Begun(activation_id=id, node=NodeId(""), attempt=attempt))

    def note(self, id: ActivationId, progress: bytes) -> Awaitable[None]:
        return self._write(id, Noted(activation_id=id, progress=progress))

    def settle(self, record: Activation) -> Awaitable[bool]:
        log = self._hosting.log_of(record.activation_id)
        return _mapped(log.append([Settled(record=record)]), lambda results: results[0])

    def discard(self, id: ActivationId) -> Awaitable[None]:
        return self._write(id, Discarded(activation_id=id))

    async def pending(self) -> list[JournalEntry]:
        return [entry for log in self._hosting.logs() for entry in entries_of(log)]

    def _write(self, id: ActivationId, entry: Entry) -> Awaitable[None]:
        return _none(self._hosting.log_of(id).append([entry]))


def entries_of(log: ControllerLog) -> list[JournalEntry]:
    """What is under way in a log, oldest acceptance first. The messages are the caller's own."""
    return [
        JournalEntry(message=msgspec.structs.replace(work.message), attempt=work.attempt, progress=work.progress)
        for work in log.ledger.pending.values()
    ]


def _none(appended: asyncio.Future[list[bool]]) -> asyncio.Future[None]:
    return _mapped(appended, lambda results: None)


def _mapped(appended: asyncio.Future[list[bool]], read: Callable[[list[bool]], T]) -> asyncio.Future[T]:
    mapped: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def done(future: asyncio.Future[list[bool]]) -> None:
        if mapped.done():
            return
        error = future.exception()
        if error is not None:
            mapped.set_exception(error)
            mapped.exception()  # not every writer waits
        else:
            mapped.set_result(read(future.result()))

    appended.add_done_callback(done)
    return mapped
