"""Whether the database has a record of an id: asked on the event loop for every record that was never journalled.

Nearly always the answer is no. A question to SQLite costs 8 us with everything cached, more beside folds (each makes
the connection forget its pages); so a bitmap of the ids, 0.5 us, says "certainly not" first.
"""

from __future__ import annotations

import asyncio
import sqlite3
from array import array
from collections.abc import Iterable
from functools import partial
from sys import byteorder

import structlog

from upwhisk.backends.store.database import Readers
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.ids import ActivationId

log = structlog.get_logger(__name__)

BITS = 24
"""2 MB; with 1,000,000 ids one question in 17 goes to the database."""
FULL = 1 << (BITS - 2)
"""Ids after which the bitmap is made anew, without those that retention has removed meanwhile."""
_MASK = (1 << BITS) - 1
_CHUNK = 50_000
_SLICE = 1000
_NEXT = "SELECT id FROM records WHERE id > ? ORDER BY id LIMIT ?"
_PAGE = f"SELECT group_concat(hex(substr(id, 1, 4)), ''), max(id) FROM ({_NEXT})"  # noqa: S608 - fixed texts


class Bitmap:
    """A set of ids that may claim to have one that it has not, never the other way round."""

    def __init__(self) -> None:
        self.added = 0
        self._bits = bytearray((1 << BITS) >> 3)

    def add(self, ids: Iterable[ActivationId]) -> None:
        self.add_heads([int(each[:8], 16) for each in ids])

    def add_heads(self, heads: Iterable[int]) -> None:
        """The same, with what the first four bytes of each id are as a number."""
        bits = self._bits
        for head in heads:
            bits[(head & _MASK) >> 3] |= 1 << (head & 7)
            self.added += 1

    def may_have(self, id: ActivationId) -> bool:
        head = int(id[:8], 16)
        return bool(self._bits[(head & _MASK) >> 3] & (1 << (head & 7)))


class Lookup:
    def __init__(self, connection: sqlite3.Connection, readers: Readers) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._readers = readers
        self._bitmap: Bitmap | None = None
        self._next: Bitmap | None = None
        self._filling: asyncio.Task[None] | None = None

    def __call__(self, id: ActivationId) -> bool:
        if self._bitmap is not None and not self._bitmap.may_have(id):
            return False
        return self._execute("SELECT 1 FROM records WHERE id = ?", (bytes.fromhex(id),)).fetchone() is not None

    def start(self, tail: Iterable[ActivationId]) -> None:
        """Make the bitmap, beside other work; until it is ready the database is asked. `tail`: ids that the database
        does not have yet; later ones are added."""
        self._next = Bitmap()
        self._next.add(tail)
        self._filling = asyncio.create_task(self._fill(self._next), name="store-bitmap")

    def add(self, ids: list[ActivationId]) -> None:
        for bitmap in (self._bitmap, self._next):
            if bitmap is not None:
                bitmap.add(ids)

    @property
    def is_full(self) -> bool:
        return self._next is None and self._bitmap is not None and self._bitmap.added > FULL

    async def aclose(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
        self._connection.close()

    async def _fill(self, bitmap: Bitmap) -> None:
        try:
            await self._read_into(bitmap)
        except StoreUnavailable as error:
            log.error("the database is asked for every id", action="store.bitmap", error=str(error))
        else:
            self._bitmap = bitmap
        self._next = None

    async def _read_into(self, bitmap: Bitmap) -> None:
        last: bytes | None = b""
        while last is not None:
            text, last = await self._readers.run(partial(_page, after=last))
            heads = array("I", bytes.fromhex(text.decode()) if text else b"")
            if byteorder == "little":
                heads.byteswap()
            for begin in range(0, len(heads), _SLICE):
                bitmap.add_heads(heads[begin : begin + _SLICE])
                await asyncio.sleep(0)


def _page(connection: sqlite3.Connection, after: bytes) -> tuple[bytes | None, bytes | None]:
    """The first four bytes of the next ids in hexadecimal digits, and the last of these ids (None: no more)."""
    text, last = connection.execute(_PAGE, (after, _CHUNK)).fetchone()
    return text, last
