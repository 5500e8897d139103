"""Reads the records of a round through the API, as a caller would."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

import aiohttp
from crash.verdict import Record, started_by

SETTLE_S = 90.0
_AT_ONCE = 8
_PAGE = 200
_LISTINGS = 4
_WINDOW_MS = 10_000


class Reached(Protocol):
    """A platform that can be called."""

    @property
    def url(self) -> str: ...

    @property
    def key(self) -> str: ...


class Records:
    """`of` waits for the records of ids and of all that these name; `listed_since` counts ids in lists."""

    def __init__(self, platform: Reached) -> None:
        self._url = f"{platform.url}/api/v1/namespaces/_/activations"
        self._auth = aiohttp.BasicAuth(*platform.key.split(":", 1))
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def read(self, ids: Iterable[str], since_ms: int) -> tuple[dict[str, Record], Counter[str]]:
        async with aiohttp.ClientSession(auth=self._auth) as session:
            got = await self._of(session, set(ids))
            for _ in range(_LISTINGS):  # pages move while records of unanswered calls arrive
                listed = await self._listed(session, since_ms)
                if all(listed[id_] == 1 for id_ in got) and max(listed.values(), default=1) == 1:
                    break
                await asyncio.sleep(1.0)
        return got, listed

    async def _of(self, session: aiohttp.ClientSession, missing: set[str]) -> dict[str, Record]:
        got: dict[str, Record] = {}
        deadline = time.monotonic() + SETTLE_S
        while missing and time.monotonic() < deadline:
            found = await asyncio.gather(*(self._one(session, id_) for id_ in missing))
            new = {r["activationId"]: r for r in found if r is not None}
            got.update(new)
            named = {id_ for record in new.values() for id_ in started_by(record)}
            missing = (missing | named) - got.keys()
            if new:  # to read what is there may take longer than to wait for what is not
                deadline = time.monotonic() + SETTLE_S
            else:
                await asyncio.sleep(0.1)
        return got

    async def _one(self, session: aiohttp.ClientSession, id_: str) -> Record | None:
        async with self._gate, session.get(f"{self._url}/{id_}") as answer:
            if answer.status in (404, 503):
                return None
            assert answer.status == 200, f"{id_}: {answer.status} {await answer.text()}"
            record: Record = await answer.json()
            return record

    async def _listed(self, session: aiohttp.ClientSession, since_ms: int) -> Counter[str]:
        """Window by window: to skip tens of thousands takes a store longer than an answer may."""
        found: Counter[str] = Counter()
        for begin in range(since_ms, int(time.time() * 1000) + 1, _WINDOW_MS):
            found += await self._window(session, begin)
        return found

    async def _window(self, session: aiohttp.ClientSession, begin_ms: int) -> Counter[str]:
        found: Counter[str] = Counter()
        while True:
            query: dict[str, Any] = {"since": begin_ms, "upto": begin_ms + _WINDOW_MS - 1, "limit": _PAGE, "skip": found.total()}
            page = await self._page(session, query)
            found.update(one["activationId"] for one in page)
            if len(page) < _PAGE:
                return found

    async def _page(self, session: aiohttp.ClientSession, query: dict[str, Any]) -> list[Record]:
        """A stand-in that indexes what it was given in a storm answers nothing meanwhile: asked again, as a client would."""
        deadline = time.monotonic() + SETTLE_S
        while True:
            async with session.get(self._url, params=query) as answer:
                if answer.status == 503 and time.monotonic() < deadline:
                    await asyncio.sleep(1.0)
                    continue
                assert answer.status == 200, await answer.text()
                page: list[Record] = await answer.json()
                return page
