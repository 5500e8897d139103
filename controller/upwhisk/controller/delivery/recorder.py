"""Final records on their way from the log to the document store: readable at once, stored in batches."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from upwhisk.common.errors import UpwhiskError
from upwhisk.common.ids import ActivationId
from upwhisk.common.model.activation import Activation
from upwhisk.common.resource import Resource
from upwhisk.common.retry import RETRIES, backoff_s
from upwhisk.common.spi.store import ActivationStore
from upwhisk.common.tasks import TaskOwner

log = structlog.get_logger(__name__)

BATCH = 200
MAX_WAITING = 20_000
MAX_WAITING_BYTES = 128 * 1024 * 1024
"""With so many records unstored, or so much in them, nothing new is accepted."""
BATCH_BYTES = 8 * 1024 * 1024
_GATHER_S = 0.1
"""A batch waits so long for company, unless somebody waits for it: writes of few records cost the store far more each."""

Stored = Callable[[], None]


class Recorder(Resource):
    """Tries until the store has each record: they are safe in the log all the while."""

    def __init__(self, activations: ActivationStore) -> None:
        self._activations = activations
        self._unstored: dict[ActivationId, tuple[Activation, Stored]] = {}
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._is_due = asyncio.Event()
        self._put = 0
        self._stored = 0
        self._barriers: list[tuple[int, asyncio.Future[None]]] = []
        self._tasks = TaskOwner("recorder")
        self._running: asyncio.Task[None] | None = None
        self._failures = 0

    async def start(self) -> None:
        self._running = self._tasks.start(self._go_on(), "recorder")

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)

    def put(self, record: Activation, stored: Stored) -> None:
        """`stored` is called once the store has a record of this id."""
        known = self._unstored.get(record.activation_id)
        if known is not None:  # read from two logs
            self._unstored[record.activation_id] = (known[0], _both(known[1], stored))
            return
        self._unstored[record.activation_id] = (record, stored)
        self._bytes += _weight(record)
        self._put += 1
        self._arrived.set()
        if len(self._unstored) >= BATCH:
            self._is_due.set()

    def find(self, id: ActivationId) -> Activation | None:
        entry = self._unstored.get(id)
        return entry[0] if entry is not None else None

    def __len__(self) -> int:
        return len(self._unstored)

    def problem(self) -> str | None:
        if self._running is not None and self._running.done():
            return "records are not stored any more"
        if len(self._unstored) < MAX_WAITING and self._bytes < MAX_WAITING_BYTES:
            return None
        return f"{len(self._unstored)} records wait for the document store"

    async def barrier(self, timeout_s: float) -> bool:
        """Wait until all that was put before this call is stored; False if it is not in time."""
        if not self._unstored:
            return True
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._barriers.append((self._put, reached))
        self._is_due.set()
        try:
            async with asyncio.timeout(timeout_s):
                await reached
        except TimeoutError:
            return False
        return True

    async def _go_on(self) -> None:
        while True:
            await self._arrived.wait()
            await self._gather()
            await self._store_batch()
            if not self._unstored:
                self._arrived.clear()

    async def _gather(self) -> None:
        if len(self._unstored) >= BATCH or self._barriers:
            return
        self._is_due.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GATHER_S):
                await self._is_due.wait()

    async def _store_batch(self) -> None:
        batch = self._batch()
        try:
            await self._activations.put(batch)
        except UpwhiskError as error:
            delay = backoff_s(self._failures)
            self._failures += 1
            RETRIES["store"] += 1
            log.warning("records wait", action="recorder.failed", records=len(self._unstored), reason=str(error))
            await asyncio.sleep(delay)
            return
        self._failures = 0
        self._stored += len(batch)
        for record in batch:
            _, stored = self._unstored.pop(record.activation_id)
            self._bytes -= _weight(record)
            stored()
        for mark, reached in self._barriers:
            if mark <= self._stored and not reached.done():
                reached.set_result(None)
        self._barriers = [each for each in self._barriers if not each[1].done()]

    def _batch(self) -> list[Activation]:
        """The oldest, at least one."""
        batch: list[Activation] = []
        room = BATCH_BYTES
        for record, _ in self._unstored.values():
            if batch and (len(batch) == BATCH or room < _weight(record)):
                break
            batch.append(record)
            room -= _weight(record)
        return batch


def _weight(record: Activation) -> int:
    """About the bytes of what may be large in it."""
    size = record.response.size
    return 512 + (size if isinstance(size, int) else 0) + sum(map(len, record.logs))


def _both(first: Stored, second: Stored) -> Stored:
    def stored() -> None:
        first()
        second()

    return stored
