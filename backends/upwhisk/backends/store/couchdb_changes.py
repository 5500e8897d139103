"""What others changed: CouchDB's feed of changes, followed without end."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import structlog

from upwhisk.backends.store.couchdb_answers import delay_s
from upwhisk.backends.store.couchdb_client import Call, CouchClient
from upwhisk.backends.store.couchdb_json import id_of
from upwhisk.backends.store.couchdb_pages import read_json
from upwhisk.common.clock import Clock
from upwhisk.common.errors import StoreUnavailable
from upwhisk.common.spi.store import Watcher

log = structlog.get_logger(__name__)

HEARTBEAT_S = 3.0
"""A feed that says nothing for three of these is broken. (PouchDB does not read what it is told: it sends one every 6 s.)"""
_AT_ONCE = 500


class _Change(msgspec.Struct):
    id: str


class _Changes(msgspec.Struct):
    """Sequence numbers are texts in CouchDB, and only good for going on from them."""

    last_seq: Any
    results: list[_Change] = []


class ChangeFeed:
    """Tells `watcher`, which does not raise, the id of each changed document of one database. After an outage it tells None: then the feed may
    have lost its place, and so have its readers."""

    def __init__(self, client: CouchClient, database: str, watcher: Watcher, clock: Clock) -> None:
        self._client = client
        self._path = f"{client.database(database)}/_changes"
        self._tell = watcher
        self._clock = clock
        self._since: Any = None

    async def open(self) -> None:
        """From here on nothing is missed."""
        self._since = await self._now()

    async def run(self) -> None:
        """Until cancelled."""
        attempt = 0
        while True:
            try:
                if self._since is None:
                    self._since = await self._now()
                    self._tell(None)
                await self._follow(self._since)
                attempt = 0
            except StoreUnavailable as error:
                if attempt == 0:
                    log.warning("feed of changes broke", action="store.feed_broke", path=self._path, error=str(error))
                self._since = None
                await self._clock.sleep(delay_s(attempt, random.random()))  # noqa: S311 - spreads reconnections
                attempt += 1

    async def _now(self) -> Any:
        answer = await self._client.send(Call(method="GET", path=self._path, query={"since": "now", "limit": "1"}))
        return read_json(answer, _Changes).last_seq

    async def _follow(self, since: Any) -> None:
        query = {
            "feed": "longpoll",
            "since": str(since),
            "heartbeat": str(round(HEARTBEAT_S * 1000)),
            "limit": str(_AT_ONCE),
        }
        changes = read_json(await self._client.follow(self._path, query, HEARTBEAT_S), _Changes)
        self._since = changes.last_seq
        for change in changes.results:
            if not change.id.startswith("_design/"):
                self._tell(id_of(change.id))
        if not changes.results:
            await asyncio.sleep(0.05)  # a server that answers at once with nothing is not asked in a tight loop
