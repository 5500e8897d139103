"""The journal of a fleet: entries of the controllers' logs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec

from upwhisk.common.ids import ActivationId, ControllerId
from upwhisk.common.messages import (
    Accepted,
    ActivationMessage,
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
    """What belongs to a composition goes to the log that holds it, else to the log that holds the id, else to our own.
    Every method raises `StoreUnavailable` while there is no log."""

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting

    def accept(self, messages: Sequence[ActivationMessage], records: Sequence[Activation] = ()) -> Awaitable[None]:
        log = self._hosting.log_of(messages[0].cause if messages else None)
        for message in messages:
            message.controller = ControllerId(log.name)
        as_now = tuple(msgspec.structs.replace(message) for message in messages)
        return _none(log.append([Accepted(messages=as_now, records=tuple(records))]))

    def dispatching(self, message: ActivationMessage) -> asyncio.Future[bool]:
        """Durable before the message is sent to its node. False: it must not be sent, as the log knows better."""
        entry = Dispatched(
            activation_id=message.activation_id,
            node=message.node,
            incarnation=message.incarnation,
            dispatch=message.dispatch,
            attempt=message.attempt,
        )
        return self._append_for(message, entry)

    def begin(self, id: ActivationId, attempt: int) -> Awaitable[None]:
        """Nothing to write: nodes say themselves what they start, and an acceptance that names a node says it, too."""
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        begun.set_result(None)
        return begun

    def note(self, id: ActivationId, progress: bytes) -> Awaitable[None]:
        """All or nothing together with what is accepted next, in the same turn."""
        return self._write(id, Noted(activation_id=id, progress=progress), with_next=True)

    def settle(self, record: Activation) -> Awaitable[bool]:
        return _first(self._hosting.log_of(record.activation_id).append([Settled(record=record)]))

    def end(self, message: ActivationMessage, record: Activation) -> Awaitable[bool]:
        """In the log that answers for it."""
        entry = Settled(record=record) if message.stored else Discarded(activation_id=message.activation_id)
        return self._append_for(message, entry)

    def discard(self, id: ActivationId) -> Awaitable[None]:
        return self._write(id, Discarded(activation_id=id))

    def holds(self, message: ActivationMessage) -> bool:
        return self._hosting.named(message.controller) is not None

    async def pending(self) -> list[JournalEntry]:
        return [entry for log in self._hosting.logs() for entry in entries_of(log)]

    def _append_for(self, message: ActivationMessage, entry: Entry) -> asyncio.Future[bool]:
        """To the log that answers for it; False if that is another controller's."""
        log = self._hosting.named(message.controller)
        if log is not None:
            return _first(log.append([entry]))
        given_up: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        given_up.set_result(False)
        return given_up

    def _write(self, id: ActivationId, entry: Entry, *, with_next: bool = False) -> Awaitable[None]:
        return _none(self._hosting.log_of(id).append([entry], with_next=with_next))


def entries_of(log: ControllerLog) -> list[JournalEntry]:
    """What is under way in a log, oldest acceptance first. The messages are the caller's own."""
    return [
        JournalEntry(message=msgspec.structs.replace(work.message), attempt=work.attempt, progress=work.progress)
        for work in log.ledger.pending.values()
    ]


def _none(appended: asyncio.Future[list[bool]]) -> asyncio.Future[None]:
    return _mapped(appended, lambda results: None)


def _first(appended: asyncio.Future[list[bool]]) -> asyncio.Future[bool]:
    return _mapped(appended, lambda results: results[0])


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
