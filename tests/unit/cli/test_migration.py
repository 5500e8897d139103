"""The migration between two stores: nothing twice, nothing lost, nothing replaced unasked."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import count
from typing import Any

import msgspec
import pytest
from fakes.clock import ManualClock
from fakes.couch import KEEP_ALL
from fakes.migrants import ALICE, GUEST, KEY, content, fill
from fakes.samples import START_MS, document, record

from upwhisk.backends.store.memory import MemoryStore
from upwhisk.cli.migration import PATIENCE_S, Migration
from upwhisk.cli.migration_progress import Progress
from upwhisk.cli.migration_verdict import Rules, Tally, Verdict
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.spi.store import ActivationQuery

ALL = ActivationQuery(namespace="guest")


def kept() -> MemoryStore:
    return MemoryStore(retention=KEEP_ALL)


@pytest.fixture
async def source() -> AsyncIterator[MemoryStore]:
    async with kept() as store:
        await fill(store)
        yield store


@pytest.fixture
async def target() -> AsyncIterator[MemoryStore]:
    async with kept() as store:
        yield store


async def migrated(source: MemoryStore, target: MemoryStore, rules: Rules = Rules()) -> Tally:  # noqa: B008 - immutable
    return await Migration(source, target, rules, Progress(io.StringIO(), None)).run()


async def test_everything_goes_and_a_second_time_nothing(source: MemoryStore, target: MemoryStore) -> None:
    first = await migrated(source, target)
    assert await content(target) == await content(source)
    assert first.total() == first.total(Verdict.COPIED) == 4 + 2 + 7 + 23
    revisions = {name: each.revision for name, each in target._entities.documents.items()}
    second = await migrated(source, target)
    assert second.is_equal
    assert second.total() == first.total()
    assert {name: each.revision for name, each in target._entities.documents.items()} == revisions


async def test_without_records_and_with_some(source: MemoryStore, target: MemoryStore) -> None:
    await migrated(source, target, Rules(activations=False))
    assert target._activations.records == {}
    tally = await migrated(source, target, Rules(since=START_MS + 3))
    assert tally.counts["activations"][Verdict.COPIED] == 21
    assert await target.activations.count(ALL) == 21


async def test_a_dry_run_writes_nothing_and_says_the_same(source: MemoryStore, target: MemoryStore) -> None:
    await target.subjects.put(msgspec.structs.replace(ALICE, blocked=True))
    before = await content(target)
    dry = await migrated(source, target, Rules(writes=False))
    assert await content(target) == before
    assert dry.rows() == (await migrated(source, target)).rows()


async def test_what_differs_stays_unless_it_is_to_be_replaced(source: MemoryStore, target: MemoryStore) -> None:
    theirs = Subject("guest", (NamespaceKey("guest", "u-9", "t" * 64),))
    await target.subjects.put(theirs)
    await target.subjects.put_limits("team", NamespaceLimits(fires_per_minute=1))
    revision = await target.entities.put(document("inline", body={"version": "9.9.9"}))
    tally = await migrated(source, target)
    assert not tally.is_complete
    assert [(each.kind, each.id) for each in tally.listed] == [
        ("subjects", "guest"), ("limits", "team"), ("actions", "guest/inline"),
    ]  # fmt: skip
    assert KEY not in repr(tally.listed)
    assert await target.subjects.get("guest") == theirs
    assert (await target.entities.get("guest/inline")) == document("inline", body={"version": "9.9.9"}, revision=revision)
    again = await migrated(source, target, Rules(overwrite=True))
    assert again.is_complete
    assert again.total(Verdict.REPLACED) == 3
    assert await content(target) == await content(source)


async def test_a_record_is_never_replaced(source: MemoryStore, target: MemoryStore) -> None:
    mine = record(start=START_MS + 500)
    theirs = msgspec.structs.replace(mine, name="another")
    await source.activations.put([mine])
    await target.activations.put([theirs])
    tally = await migrated(source, target, Rules(overwrite=True))
    assert [(each.id, each.verdict) for each in tally.listed] == [(mine.activation_id, Verdict.CONFLICT)]
    assert await target.activations.list(ActivationQuery(namespace="guest", name="another")) != []


async def test_a_login_of_somebody_else_is_a_conflict_also_when_replacing(source: MemoryStore, target: MemoryStore) -> None:
    await target.subjects.put(Subject("thief", (NamespaceKey("thief", ALICE.namespaces[1].uuid, "t" * 64),)))
    for rules in (Rules(writes=False), Rules(), Rules(overwrite=True)):
        tally = await migrated(source, target, rules)
        assert [(each.id, each.verdict, each.why) for each in tally.listed] == [
            ("alice", Verdict.CONFLICT, "one of its keys belongs to 'thief' there")
        ]
    assert await target.subjects.get("alice") is None
    assert await target.subjects.get("guest") == GUEST


class Choosy(MemoryStore):
    """Cannot keep records with a certain name."""

    def __init__(self) -> None:
        super().__init__(retention=KEEP_ALL)
        put = self.activations.put

        async def choosing(records: Sequence[Activation]) -> int:
            return await put([each for each in records if each.name != "t"])

        self._activations.put = choosing  # type: ignore[method-assign]


async def test_a_record_that_cannot_be_kept_is_said(source: MemoryStore) -> None:
    async with Choosy() as target:
        tally = await migrated(source, target)
    assert [each.verdict for each in tally.listed] == [Verdict.REFUSED]
    assert tally.counts["activations"][Verdict.COPIED] == 22
    assert not tally.is_complete


class Away:
    """Makes a store's calls fail, those whose number `is_away` names."""

    def __init__(self, store: MemoryStore, is_away: Callable[[int], bool]) -> None:
        self._is_away = is_away
        self._numbers = count()
        for part, name in ((store.entities, "get"), (store.entities, "put"), (store.activations, "put"), (store.subjects, "get")):
            setattr(part, name, self._failing(getattr(part, name)))

    def _failing(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def failing(*given: Any, **named: Any) -> Any:
            if self._is_away(next(self._numbers)):
                raise StoreUnavailable("The store is away.")
            return await call(*given, **named)

        return failing


async def test_an_outage_is_waited_for(source: MemoryStore, target: MemoryStore) -> None:
    expected = await content(source)
    Away(target, lambda number: number // 4 % 2 == 0)
    clock, stream = ManualClock(), io.StringIO()
    running = asyncio.create_task(Migration(source, target, Rules(), Progress(stream, None), clock).run())
    async with asyncio.timeout(30):
        while not running.done():
            await clock.advance(5)
    assert (await running).total(Verdict.COPIED) == 36
    assert stream.getvalue().startswith("waiting: The store is away.\n")
    assert {name: each.attachment for name, each in target._entities.documents.items()} == {
        name: each.attachment for name, each in expected["entities"].items()
    }
    assert sorted(target._subjects.subjects) == sorted(expected["subjects"])
    assert sorted(each.body for each in target._activations.records.values()) == expected["records"]


async def test_patience_ends(source: MemoryStore, target: MemoryStore) -> None:
    Away(target, lambda _: True)
    clock = ManualClock()
    running = asyncio.create_task(Migration(source, target, Rules(), Progress(io.StringIO(), None), clock).run())
    async with asyncio.timeout(30):
        while not running.done():
            await clock.advance(1)
    with pytest.raises(StoreUnavailable, match="away"):
        await running
    assert PATIENCE_S - 10 < clock.monotonic() <= PATIENCE_S + 1


async def test_progress_on_a_terminal_is_one_line(source: MemoryStore, target: MemoryStore) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream, times = Terminal(), iter(range(1000))
    progress = Progress(stream, 23, now=lambda: float(next(times)))
    await Migration(source, target, Rules(), progress).run()
    progress.finish()
    shown = stream.getvalue()
    assert "\n" not in shown
    assert "subjects: 1 read, 1 copied" in shown
    assert "% of 23 activations" in shown
    assert shown.endswith("\r\x1b[K")
