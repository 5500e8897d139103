"""The journal and the writing of records: encode here, decide in the ledger, commit in the queue."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from upwhisk.backends.store.commit import CommitQueue
from upwhisk.backends.store.ledger import Ledger, Row
from upwhisk.common.errors import DataFolderError
from upwhisk.common.forms import Unreadable, received
from upwhisk.common.ids import ActivationId, is_activation_id
from upwhisk.common.messages import ActivationMessage, encode_message
from upwhisk.common.model.activation import Activation, encode_record
from upwhisk.common.spi.store import Journal, JournalEntry


class LoggedJournal(Journal):
    def __init__(self, ledger: Ledger, queue: CommitQueue) -> None:
        self._ledger = ledger
        self._queue = queue

    def accept(
        self, messages: Sequence[ActivationMessage], records: Sequence[Activation] = ()
    ) -> Awaitable[None]:
        kept = [(checked(message.activation_id), encode_message(message)) for message in messages]
        rows = [row_of(record) for record in records]
        return self._queue.submit(self._ledger.accept, (kept, rows))

    def begin(self, id: ActivationId, attempt: int) -> Awaitable[None]:
        return self._queue.submit(self._ledger.begin, (id, attempt))

    def note(self, id: ActivationId, progress: bytes) -> Awaitable[None]:
        return self._queue.submit(self._ledger.note, (id, progress))

    def settle(self, record: Activation) -> Awaitable[bool]:
        return self._queue.submit(self._ledger.settle, row_of(record), record.activation_id)

    def discard(self, id: ActivationId) -> Awaitable[None]:
        return self._queue.submit(self._ledger.discard, id, id)

    async def pending(self) -> list[JournalEntry]:
        return [
            JournalEntry(message=_activation(entry.message), attempt=entry.attempt, progress=entry.progress)
            for entry in self._ledger.in_order()
        ]


def row_of(record: Activation) -> Row:
    return Row(checked(record.activation_id), record.namespace, filter_name(record), record.start, encode_record(record))


def filter_name(record: Activation) -> str:
    """What the name filter of lists compares with: `package/name` where the record knows its package."""
    path: object = None
    for annotation in record.annotations:
        if annotation.key == "binding" and isinstance(annotation.value, str):
            return f"{annotation.value.partition('/')[2]}/{record.name}"  # namespace/binding
        if annotation.key == "path":
            path = annotation.value
    if isinstance(path, str):
        parts = path.split("/")
        if len(parts) == 3:  # namespace/package/action
            return f"{parts[1]}/{record.name}"
    return record.name


def checked(id: ActivationId) -> ActivationId:
    """`ValueError` here, at the call, for what would fail in everybody's commit."""
    if not is_activation_id(id):
        raise ValueError(f"no activation id: {id!r}")
    return id


def _activation(data: bytes) -> ActivationMessage:
    message = received(data)
    if isinstance(message, Unreadable):
        raise DataFolderError(
            f"accepted work '{message.activation_id}' in the data folder cannot be read ({message.reason}): start the"
            " release that wrote it"
        )
    assert isinstance(message, ActivationMessage)
    return message
