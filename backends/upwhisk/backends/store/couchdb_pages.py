"""Rows of views: pages and counts."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from upwhisk.backends.store.couchdb_answers import Answer, reason_of
from upwhisk.backends.store.couchdb_client import LONG_S, Call, CouchClient
from upwhisk.backends.store.couchdb_views import (
    Parameters,
    Range,
    count_parameters,
    design_id,
    is_empty,
    page_parameters,
)
from upwhisk.backends.store.database import unavailable

T = TypeVar("T")
PAGE = 100
"""Rows in one answer, with their documents."""


NULL = msgspec.Raw(b"null")


class Row(msgspec.Struct):
    """`doc` is `null` for a document that has gone since it was indexed."""

    key: msgspec.Raw
    id: str
    doc: msgspec.Raw = NULL


class _Rows(msgspec.Struct):
    rows: list[Row]


class _Value(msgspec.Struct):
    value: Any


class _Reduced(msgspec.Struct):
    rows: list[_Value]


class Pages:
    """Queries on the views of one database. They see every write that was acknowledged before."""

    def __init__(self, client: CouchClient, database: str) -> None:
        self._client = client
        self._path = f"{client.database(database)}/{design_id(database)}/_view/"

    async def read(self, range: Range, skip: int, limit: int) -> list[msgspec.Raw]:
        """Documents of the rows from `skip` on, newest first; `limit` 0: all. Pages after the first go on by key."""
        found: list[msgspec.Raw] = []
        after: bytes | None = None
        while not is_empty(range):
            size = min(PAGE, limit - len(found)) if limit else PAGE
            parameters = page_parameters(range, limit=size, skip=skip if after is None else 0, after=after)
            rows = (await self.view(range.view, parameters, _Rows)).rows
            found += (row.doc for row in rows if row.doc != NULL)
            if len(rows) < size or (limit and len(found) >= limit):
                break
            if (last := bytes(rows[-1].key)) == after:
                raise unavailable("CouchDB's view does not go on")
            after = last
        return found

    async def count(self, range: Range) -> int:
        if is_empty(range):
            return 0
        value = await self.reduced(range.view, count_parameters(range))
        return 0 if value is None else int(value)

    async def reduced(self, view: str, parameters: Parameters) -> Any:
        """The one value of a reduced view; None if no row is in range."""
        rows = (await self.view(view, parameters, _Reduced)).rows
        return rows[0].value if rows else None

    async def view(self, view: str, parameters: Parameters, type: type[T]) -> T:
        call = Call(method="GET", path=self._path + view, query=parameters, timeout_s=LONG_S)
        return read_json(await self._client.send(call), type)


def read_json(answer: Answer, type: type[T]) -> T:
    """`StoreUnavailable` for an answer that is none; one that breaks off in its middle is no JSON any more."""
    if not answer.is_ok:
        raise unavailable(f"CouchDB answers {reason_of(answer)}")
    try:
        return answer.read(type)
    except msgspec.MsgspecError as error:
        raise unavailable(f"CouchDB's answer is damaged ({error})") from None
