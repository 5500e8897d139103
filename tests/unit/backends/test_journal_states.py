"""Any course of accepts, starts, ends, folds, kills and restarts leaves what the calls that were answered say."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from fakes.samples import message, record
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.ids import ActivationId, new_activation_id
from upwhisk.common.settings import RetentionSettings, StoreSettings
from upwhisk.common.spi.store import ActivationQuery, JournalEntry

T = TypeVar("T")
KEEP_ALL = RetentionSettings(max_age_s=0, max_records=0, max_mb=0)


class JournalMachine(RuleBasedStateMachine):
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="journal-"))
        self.loop = asyncio.new_event_loop()
        self.pending: dict[ActivationId, JournalEntry] = {}
        self.records: dict[ActivationId, int] = {}
        self.number = 0

    @initialize(durability=st.sampled_from(["process", "power"]), segment_bytes=st.sampled_from([600, 3000, 10**7]))
    def begin(self, durability: Any, segment_bytes: int) -> None:
        self.settings = StoreSettings(durability=durability)
        self.segment_bytes = segment_bytes
        self.open()

    def open(self) -> None:
        self.store = SQLiteStore(self.folder / "data", self.settings, KEEP_ALL, None, self.segment_bytes)
        self.run(self.store.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.run(self.store.aclose())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)

    @rule(target=ids, count=st.integers(1, 4))
    def accept(self, count: int) -> Any:
        works = [message() for _ in range(count)]

        async def go() -> None:
            await self.store.journal.accept(works)

        self.run(go())
        self.pending |= {work.activation_id: JournalEntry(message=work) for work in works}
        return multiple(*(work.activation_id for work in works))

    @rule(id=ids, attempt=st.integers(1, 3))
    def start(self, id: ActivationId, attempt: int) -> None:
        async def go() -> None:
            await self.store.journal.begin(id, attempt)

        self.run(go())
        if (entry := self.pending.get(id)) is not None:
            self.pending[id] = JournalEntry(message=entry.message, attempt=attempt, progress=entry.progress)

    @rule(id=ids, progress=st.binary(max_size=300))
    def note(self, id: ActivationId, progress: bytes) -> None:
        async def go() -> None:
            await self.store.journal.note(id, progress)

        self.run(go())
        if (entry := self.pending.get(id)) is not None:
            self.pending[id] = JournalEntry(message=entry.message, attempt=entry.attempt, progress=progress)

    @rule(id=ids)
    def settle(self, id: ActivationId) -> None:
        self.number += 1
        number = self.number

        async def go() -> bool:
            return await self.store.journal.settle(record(id, result={"number": number}))

        assert self.run(go()) is (id not in self.records)
        self.pending.pop(id, None)
        self.records.setdefault(id, number)

    @rule(target=ids)
    def settle_unknown(self) -> ActivationId:
        unknown = new_activation_id()
        self.settle(unknown)
        return unknown

    @rule(id=consumes(ids))
    def discard(self, id: ActivationId) -> None:
        async def go() -> None:
            await self.store.journal.discard(id)

        self.run(go())
        self.pending.pop(id, None)

    @rule(id=ids)
    def all_in_one_turn(self, id: ActivationId) -> None:
        work = message()

        async def go() -> list[Any]:
            journal = self.store.journal
            calls = [
                journal.accept([work]),
                journal.begin(work.activation_id, 1),
                journal.settle(record(work.activation_id, result={"number": 0})),
                journal.settle(record(id, result={"number": -1})),
                journal.settle(record(id, result={"number": -2})),
            ]
            return [await call for call in calls]

        assert self.run(go()) == [None, None, True, id not in self.records, False]
        self.records[work.activation_id] = 0
        self.pending.pop(id, None)
        self.records.setdefault(id, -1)

    @rule()
    def fold(self) -> None:
        assert self.run(self.store.activations.count(ActivationQuery(namespace="guest"))) == len(self.records)

    @rule(kill=st.booleans())
    def reopen(self, kill: bool) -> None:
        self.run(self.store.abandon() if kill else self.store.aclose())
        self.open()

    @rule()
    def restore_a_backup(self) -> None:
        backup = self.folder / "backup"
        self.run(self.store.backup(backup))
        self.run(self.store.abandon())
        SQLiteStore.restore(backup, self.folder / "data", force=True)
        self.open()

    @invariant()
    def the_journal_is_as_it_was_told(self) -> None:
        if hasattr(self, "store"):
            assert self.run(self.store.journal.pending()) == list(self.pending.values())

    @invariant()
    def every_record_is_there(self) -> None:
        if hasattr(self, "store"):
            for settled, number in self.records.items():
                body = self.run(self.store.activations.get("guest", settled))
                assert body is not None
                assert f'"number":{number}}}'.encode() in body


TestJournalStates = JournalMachine.TestCase
TestJournalStates.settings = settings(
    max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
