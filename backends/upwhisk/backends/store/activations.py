"""Records: read, and written in numbers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence

from upwhisk.backends.store.commit import CommitQueue
from upwhisk.backends.store.database import Readers, fitting, joined, split
from upwhisk.backends.store.follower import Follower
from upwhisk.backends.store.journal import row_of
from upwhisk.backends.store.ledger import Ledger
from upwhisk.common.ids import ActivationId, is_activation_id
from upwhisk.common.model.activation import Activation
from upwhisk.common.spi.store import ActivationQuery, ActivationStore


class SQLiteActivations(ActivationStore):
    """Records that are not in the database yet are answered from memory (get) or folded first (list, count)."""

    def __init__(self, ledger: Ledger, queue: CommitQueue, follower: Follower, readers: Readers) -> None:
        self._ledger = ledger
        self._queue = queue
        self._follower = follower
        self._readers = readers

    async def put(self, records: Sequence[Activation]) -> int:
        submit, settle = self._queue.submit, self._ledger.settle
        return sum(await asyncio.gather(*(submit(settle, row_of(r), r.activation_id) for r in records)))

    async def get(self, namespace: str, id: ActivationId) -> bytes | None:
        row = self._ledger.tail.get(id)
        if row is not None:
            return row.body if row.namespace == namespace else None
        if not is_activation_id(id):
            return None
        key = (bytes.fromhex(id), namespace)

        def read(connection: sqlite3.Connection) -> bytes | None:
            found = connection.execute("SELECT body FROM records WHERE id = ? AND namespace = ?", key).fetchone()
            return None if found is None else found[0]

        return await self._readers.run(read)

    async def list(self, query: ActivationQuery) -> list[bytes]:
        await self._follower.barrier()
        where, values = _condition(query)
        # The index gives this order, ties included, so pages neither repeat nor leave out a record.
        page = f"SELECT body FROM records WHERE {where} ORDER BY start DESC, name DESC, seq DESC LIMIT ? OFFSET ?"  # noqa: S608 - fixed texts
        values += [fitting(query.limit) or -1, fitting(query.skip)]
        statement = joined("body", page)
        return await self._readers.run(lambda c: split(c.execute(statement, values).fetchone()[0]))

    async def count(self, query: ActivationQuery) -> int:
        await self._follower.barrier()
        where, values = _condition(query)
        statement = f"SELECT count(*) FROM records WHERE {where}"  # noqa: S608 - fixed texts
        found: int = await self._readers.run(lambda c: c.execute(statement, values).fetchone()[0])
        return max(0, found - query.skip)


def _condition(query: ActivationQuery) -> tuple[str, list[str | int]]:
    terms = ["namespace = ?"]
    values: list[str | int] = [query.namespace]
    if query.since is not None:
        terms.append("start >= ?")
        values.append(fitting(query.since))
    if query.upto is not None:
        terms.append("start <= ?")
        values.append(fitting(query.upto))
    if query.name is not None:
        terms.append("name = ?")
        values.append(query.name)
    return " AND ".join(terms), values
