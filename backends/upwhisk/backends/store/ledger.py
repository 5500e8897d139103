"""What is pending and what is recorded, decided in memory: operations in, frames for the log and results out.

The live store and the recovery after a crash go through the same methods, so both come to the same state.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from upwhisk.backends.store.oplog import frame
from upwhisk.common.ids import ActivationId

ACCEPT, BEGIN, NOTE, SETTLE, DISCARD, PROBE = range(6)

_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], Any] = msgspec.msgpack.Decoder().decode


class Row(NamedTuple):
    """One record on its way to the database. `name`: what the name filter compares with."""

    id: ActivationId
    namespace: str
    name: str
    start: int
    body: bytes


class Entry(NamedTuple):
    """One pending message. `order`: of acceptance. `segment`: of the log, that holds it at the earliest. `kept`: what
    the database's journal has of it, 0 nothing, 1 an older state, 2 this."""

    id: ActivationId
    message: bytes
    order: int
    segment: int
    attempt: int = 0
    progress: bytes | None = None
    kept: int = 0


class Ledger:
    """Every operation returns its frame (None: there is nothing to write) and its result. Its effects stand until
    `roll_back` or `commit` is called for all operations since the last one."""

    def __init__(self) -> None:
        self.pending: dict[ActivationId, Entry] = {}
        self.tail: dict[ActivationId, Row] = {}
        """Records that the database may not have yet."""
        self.forgotten: list[ActivationId] = []
        """Ids that the database's journal still has and that are pending no longer."""
        self.segment = 0
        self.is_recorded: Callable[[ActivationId], bool] = _never
        """Whether the database has a record of an id; set once it is open."""
        self._order = 0
        self._old: list[tuple[ActivationId, Entry | None]] = []
        self._rows: list[Row] = []
        self._kept_later: list[list[Entry]] = []

    @property
    def is_clean(self) -> bool:
        """No operation waits for `commit` or `roll_back`: what is in memory is what is durable."""
        return not self._old and not self._rows

    # operations

    def accept(self, payload: tuple[Sequence[tuple[ActivationId, bytes]], Sequence[Row]]) -> tuple[bytes | None, None]:
        messages = [m for m in payload[0] if not self._is_known(m[0])]
        rows = [r for r in payload[1] if not self._is_known(r[0])]
        if not messages and not rows:
            return None, None
        self._keep(messages)
        for row in rows:
            self._record(row)
        return frame(_encode((ACCEPT, messages, rows))), None

    def begin(self, payload: tuple[ActivationId, int]) -> tuple[bytes | None, None]:
        key, attempt = payload
        entry = self.pending.get(key)
        if entry is None:
            return None, None
        self._change(entry._replace(attempt=attempt, kept=min(entry.kept, 1)))
        return frame(_encode((BEGIN, key, attempt))), None

    def note(self, payload: tuple[ActivationId, bytes]) -> tuple[bytes | None, None]:
        key, progress = payload
        entry = self.pending.get(key)
        if entry is None:
            return None, None
        self._change(entry._replace(progress=progress, kept=min(entry.kept, 1)))
        return frame(_encode((NOTE, key, progress))), None

    def settle(self, row: Row) -> tuple[bytes | None, bool]:
        key = row[0]
        entry = self.pending.pop(key, None)
        if entry is not None:
            self._old.append((key, entry))
        elif key in self.tail or self.is_recorded(key):
            return None, False
        self._record(row)
        return frame(_encode((SETTLE, row))), True

    def discard(self, id: ActivationId) -> tuple[bytes | None, None]:
        entry = self.pending.pop(id, None)
        if entry is None:
            return None, None
        self._old.append((id, entry))
        return frame(_encode((DISCARD, id))), None

    def probe(self, _: None) -> tuple[bytes | None, None]:
        """An empty operation, to see whether the log can be written again."""
        return frame(_encode((PROBE,))), None

    # all or nothing

    def commit(self) -> list[Row]:
        """The operations are durable. The new records, in the order of their operations."""
        for key, old in self._old:
            if old is not None and old.kept and key not in self.pending:
                self.forgotten.append(key)
        rows, self._rows = self._rows, []
        self._old.clear()
        self._note_kept()
        return rows

    def roll_back(self) -> None:
        """The operations failed: as if they had not been called."""
        for row in self._rows:
            del self.tail[row.id]
        for key, old in reversed(self._old):
            if old is None:
                self.pending.pop(key, None)
            else:
                self.pending[key] = old
        self._rows.clear()
        self._old.clear()
        self._note_kept()

    # recovery and folding

    def load(self, entries: Iterable[tuple[ActivationId, int, int, bytes, bytes | None]]) -> None:
        """Take over the database's journal: id, order, attempt, message, progress."""
        for key, order, attempt, message, progress in entries:
            self.pending[key] = Entry(key, message, order, 0, attempt, progress, kept=2)
            self._order = max(self._order, order)

    def replay(self, payload: bytes, *, folded: bool) -> None:
        """Repeat an operation read from the log. `folded`: the database has its records already."""
        kind, *content = _decode(payload)
        if kind == ACCEPT:
            self._keep([(m[0], m[1]) for m in content[0] if m[0] not in self.pending])
        elif kind == BEGIN:
            self.begin((content[0], content[1]))
        elif kind == NOTE:
            self.note((content[0], content[1]))
        elif kind == DISCARD:
            self.discard(content[0])
        rows = content[1] if kind == ACCEPT else [content[0]] if kind == SETTLE else []
        for values in rows:
            self._replay_row(Row(*values), folded)

    def to_keep(self, segment: int) -> list[Entry]:
        """Pending entries that only segments of the log up to this one have in their present state."""
        return [e for e in self.pending.values() if e.segment <= segment and e.kept < 2]

    def kept(self, entries: list[Entry]) -> None:
        """The database's journal has these states now. Noted when nothing can be rolled back any more: an entry
        whose row were overlooked would come back to life at the next start."""
        self._kept_later.append(entries)
        if self.is_clean:
            self._note_kept()

    def _note_kept(self) -> None:
        for entries in self._kept_later:
            for entry in entries:
                now = self.pending.get(entry.id)
                if now is None:
                    self.forgotten.append(entry.id)
                else:
                    self.pending[entry.id] = now._replace(kept=2 if now is entry else 1)
        self._kept_later.clear()

    def folded(self, rows: Iterable[Row]) -> None:
        tail = self.tail
        for row in rows:
            tail.pop(row[0], None)

    def in_order(self) -> list[Entry]:
        return sorted(self.pending.values(), key=lambda e: e.order)

    def _is_known(self, id: ActivationId) -> bool:
        return id in self.pending or id in self.tail or self.is_recorded(id)

    def _keep(self, messages: Iterable[tuple[ActivationId, bytes]]) -> None:
        for key, message in messages:
            if key not in self.pending:
                self._order += 1
                self._old.append((key, None))
                self.pending[key] = Entry(key, message, self._order, self.segment)

    def _change(self, entry: Entry) -> None:
        self._old.append((entry.id, self.pending[entry.id]))
        self.pending[entry.id] = entry

    def _record(self, row: Row) -> None:
        if row[0] not in self.tail:
            self.tail[row[0]] = row
            self._rows.append(row)

    def _replay_row(self, row: Row, folded: bool) -> None:
        entry = self.pending.pop(row.id, None)
        if entry is not None:
            self._old.append((row.id, entry))
        if not folded:
            self._record(row)


def _never(_: ActivationId) -> bool:
    return False
