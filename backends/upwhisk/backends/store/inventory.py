"""What the whole embedded store holds, page by page."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from upwhisk.backends.store.database import Readers, fitting
from upwhisk.backends.store.follower import Follower
from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.store import Inventory, Page

PAGE_NAMES = 500
PAGE_RECORDS = 200
PAGE_BYTES = 4 * 1024 * 1024
"""A page of records ends with the one that goes beyond this."""
_NAMES = "SELECT {0} FROM {1} WHERE {0} > ? ORDER BY {0} LIMIT ?"
_RECORDS = "SELECT seq, body FROM records WHERE seq > ? AND start >= ? ORDER BY seq LIMIT ?"
_ONE = "SELECT body FROM records WHERE id = ? AND namespace = ?"


class SQLiteInventory(Inventory):
    """Records come in the order of their writing, in which retention removes them too."""

    def __init__(self, follower: Follower, readers: Readers) -> None:
        self._follower = follower
        self._readers = readers

    async def entities(self, after: str = "") -> Page[str]:
        return await self._names("id", "entities", after)

    async def subjects(self, after: str = "") -> Page[str]:
        return await self._names("subject", "subjects", after)

    async def limits(self, after: str = "") -> Page[str]:
        return await self._names("namespace", "namespace_limits", after)

    async def records(self, after: str = "", *, since: int | None = None) -> Page[bytes]:
        await self._follower.barrier()
        begin = int(after) if after else 0
        first = fitting(-(2**63) if since is None else since)
        return await self._readers.run(lambda connection: _records(connection, begin, first))

    async def stored(self, keys: Sequence[tuple[str, ActivationId]]) -> list[bytes | None]:
        await self._follower.barrier()

        def read(connection: sqlite3.Connection) -> list[bytes | None]:
            found = (connection.execute(_ONE, (bytes.fromhex(each), namespace)).fetchone() for namespace, each in keys)
            return [None if row is None else row[0] for row in found]

        return await self._readers.run(read)

    async def _names(self, column: str, table: str, after: str) -> Page[str]:
        statement = _NAMES.format(column, table)
        rows = await self._readers.run(lambda c: c.execute(statement, (after, PAGE_NAMES)).fetchall())
        names = [row[0].decode() for row in rows]
        return Page(names, names[-1] if len(names) == PAGE_NAMES else None)


def _records(connection: sqlite3.Connection, after: int, since: int) -> Page[bytes]:
    bodies: list[bytes] = []
    size = 0
    cursor = connection.execute(_RECORDS, (after, since, PAGE_RECORDS))
    for seq, body in cursor:
        bodies.append(body)
        size += len(body)
        if size > PAGE_BYTES or len(bodies) == PAGE_RECORDS:
            cursor.close()
            return Page(bodies, str(seq))
    return Page(bodies, None)
