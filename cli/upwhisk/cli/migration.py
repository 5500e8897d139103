"""Copies everything from one store to another: subjects, limits, entities, records.

Nothing is noted about how far it is: what the target has already, and the same, is passed over, so whatever interrupts a
migration, the next one goes on. Subjects come first, records last and oldest first, as retention wants them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar, cast

import msgspec

from upwhisk.cli.migration_verdict import (
    Kind,
    Outcome,
    Rules,
    Tally,
    Verdict,
    decided,
    document_difference,
    limits_difference,
    subject_difference,
)
from upwhisk.common.clock import Clock, SystemClock
from upwhisk.common.errors import RevisionConflict, StoreUnavailable, Unavailable
from upwhisk.common.model.activation import Activation, decode_exact_record
from upwhisk.common.model.identity import Subject
from upwhisk.common.retry import Backoff
from upwhisk.common.spi.store import DocumentStore, Page

T = TypeVar("T")
PATIENCE_S: Final = 120.0
"""How long one step is tried again while a store is out of reach."""
_RACES: Final = 3
_FINAL = "a record is final: the target's stays"


class Watching(Protocol):
    """Is told how it goes."""

    def advanced(self, tally: Tally, phase: str) -> None: ...

    def waiting(self, why: str) -> None: ...


class Migration:
    """Both stores are started. `StoreUnavailable` when one is out of reach for `PATIENCE_S`."""

    def __init__(
        self, source: DocumentStore, target: DocumentStore, rules: Rules, watching: Watching, clock: Clock | None = None
    ) -> None:
        self._source = source
        self._target = target
        self._rules = rules
        self._watching = watching
        self._clock = clock or SystemClock()
        self._tally = Tally()

    async def run(self) -> Tally:
        inventory = self._source.inventory
        await self._each("subjects", inventory.subjects, self._subject)
        await self._each("limits", inventory.limits, self._limits)
        await self._each("actions", inventory.entities, self._entity)
        if self._rules.activations:
            since = self._rules.since
            async for bodies in self._pages(lambda after: inventory.records(after, since=since)):
                self._count("activations", await self._patiently(lambda bodies=bodies: self._records(bodies)))  # type: ignore[misc]
        return self._tally

    # each kind

    async def _subject(self, name: str) -> Outcome | None:
        mine = await self._source.subjects.get(name)
        if mine is None:
            return None
        theirs = await self._target.subjects.get(name)
        different = subject_difference(mine, theirs)
        verdict = self._decided(different, theirs)
        if verdict in (Verdict.COPIED, Verdict.REPLACED):
            owner = await self._owner(mine)
            if owner is not None:
                return Outcome("subjects", name, Verdict.CONFLICT, f"one of its keys belongs to '{owner}' there")
            if self._rules.writes:
                try:
                    await self._target.subjects.put(mine)
                except RevisionConflict:
                    return Outcome("subjects", name, Verdict.CONFLICT, "one of its keys was just given to another there")
        return Outcome("subjects", name, verdict, different or "")

    async def _owner(self, subject: Subject) -> str | None:
        """Who else has one of its uuids in the target."""
        for key in subject.namespaces:
            owner = await self._target.subjects.by_uuid(key.uuid)
            if owner is not None and owner.subject != subject.subject:
                return owner.subject
        return None

    async def _limits(self, namespace: str) -> Outcome | None:
        mine = await self._source.subjects.limits(namespace)
        if mine is None:
            return None
        theirs = await self._target.subjects.limits(namespace)
        different = limits_difference(mine, theirs)
        verdict = self._decided(different, theirs)
        if self._rules.writes and verdict in (Verdict.COPIED, Verdict.REPLACED):
            await self._target.subjects.put_limits(namespace, mine)
        return Outcome("limits", namespace, verdict, different or "")

    async def _entity(self, id: str) -> Outcome | None:
        mine = await self._source.entities.get(id, attachment=True)
        if mine is None:
            return None
        for _ in range(_RACES):
            theirs = await self._target.entities.get(id, attachment=True)
            different = document_difference(mine, theirs)
            verdict = self._decided(different, theirs)
            if not self._rules.writes or verdict in (Verdict.SAME, Verdict.CONFLICT):
                return Outcome(mine.collection, id, verdict, different or "")
            copy = msgspec.structs.replace(mine, revision=None if theirs is None else theirs.revision)
            try:
                await self._target.entities.put(copy)
            except RevisionConflict:
                continue  # somebody wrote it just now, or an attempt of ours whose answer was lost
            except ValueError as error:
                return Outcome(mine.collection, id, Verdict.REFUSED, str(error))
            return Outcome(mine.collection, id, verdict)
        return Outcome(mine.collection, id, Verdict.CONFLICT, "is being changed by others all the time")

    async def _records(self, bodies: list[bytes]) -> list[Outcome]:
        read = [(body, _decoded(body)) for body in bodies]
        outcomes = [_refused("?", "what is stored is no record") for _, record in read if record is None]
        records = [(body, record) for body, record in read if record is not None]
        stored = await self._stored([record for _, record in records])
        missing: list[Activation] = []
        for (body, record), there in zip(records, stored, strict=True):
            if there is None:
                missing.append(record)
            elif there == body:
                outcomes.append(Outcome("activations", record.activation_id, Verdict.SAME))
            else:
                outcomes.append(Outcome("activations", record.activation_id, Verdict.CONFLICT, _FINAL))
        return outcomes + await self._stored_now(missing)

    async def _stored_now(self, missing: list[Activation]) -> list[Outcome]:
        """Write them. The store says how many were new: if not all, it is asked which it has."""
        there: list[Any] = [True] * len(missing)
        if missing and self._rules.writes:
            reason = self._target.accepts_work()
            if reason is not None:
                raise StoreUnavailable(f"The target takes nothing now: {reason}.")
            if await self._target.activations.put(missing) < len(missing):
                there = await self._stored(missing)
        return [
            _refused(record.activation_id, "the target cannot keep it")
            if found is None
            else Outcome("activations", record.activation_id, Verdict.COPIED)
            for record, found in zip(missing, there, strict=True)
        ]

    async def _stored(self, records: list[Activation]) -> list[bytes | None]:
        keys = [(record.namespace, record.activation_id) for record in records]
        return await self._target.inventory.stored(keys) if keys else []

    # how it goes

    async def _each(
        self, kind: Kind, read: Callable[[str], Awaitable[Page[str]]], move: Callable[[str], Awaitable[Outcome | None]]
    ) -> None:
        """`kind`: of what cannot even be read; entities count as actions then."""
        phase = "entities" if kind == "actions" else kind
        async for names in self._pages(read):
            for name in names:
                try:
                    outcome = await self._patiently(lambda name=name: move(name))  # type: ignore[misc]
                except (ValueError, msgspec.MsgspecError) as error:
                    outcome = Outcome(kind, name, Verdict.REFUSED, f"what is stored cannot be read: {error}")
                self._count(phase, [] if outcome is None else [outcome])

    def _count(self, phase: str, outcomes: list[Outcome]) -> None:
        self._tally.add(outcomes)
        self._watching.advanced(self._tally, phase)

    def _decided(self, different: str | None, theirs: object | None) -> Verdict:
        return decided(different, is_there=theirs is not None, overwrite=self._rules.overwrite)

    async def _pages(self, read: Callable[[str], Awaitable[Page[T]]]) -> AsyncIterator[list[T]]:
        after: str | None = ""
        while after is not None:
            page = await self._patiently(lambda after=after: read(cast(str, after)))  # type: ignore[misc]
            yield page.items
            after = page.next

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        """Steps may be repeated: each looks first at what the target has."""
        backoff = Backoff(service="store")
        give_up: float | None = None
        while True:
            try:
                return await work()
            except Unavailable as error:
                now, wait_s = self._clock.monotonic(), backoff.next_s()
                give_up = now + PATIENCE_S if give_up is None else give_up
                if now + wait_s > give_up:
                    raise
                self._watching.waiting(error.text)
            await self._clock.sleep(wait_s)


def _decoded(body: bytes) -> Activation | None:
    try:
        return decode_exact_record(body)
    except msgspec.MsgspecError:
        return None


def _refused(id: str, why: str) -> Outcome:
    kind: Kind = "activations"
    return Outcome(kind, id, Verdict.REFUSED, why)
