"""Callers of every sort, all at once, who write down each id they are given."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from crash.actions import TRIGGER

CALLERS = 24
IDLE_AGAIN_S = 0.8
"""An action that rests this long between two calls finds its guest frozen."""


@dataclass(frozen=True)
class Given:
    """An id that a caller was given. `status`: 202 promised a record, 200 (or 502) showed one."""

    id: str
    what: str
    token: str
    status: int


@dataclass
class Book:
    """What the callers of one round were told, and what they were refused."""

    given: list[Given] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.given)

    def holds(self, ids: int) -> bool:
        return len(self.given) >= ids


@dataclass(frozen=True)
class Sort:
    """One sort of call: its share of all, the action (or trigger), the query, and its parameters."""

    share: int
    what: str
    query: str = ""
    sleeps_s: float = 0.0


MIX = (
    Sort(20, "quick"),
    Sort(14, "quick", "blocking=true"),
    Sort(8, "sleeper", "", 0.4),
    Sort(5, "sleeper", "blocking=true&timeout=40", 0.3),
    Sort(4, "sleeper", "blocking=true", 0.05),
    Sort(8, "retrying", "", 0.3),
    Sort(3, "retrying", "blocking=true&timeout=100", 0.2),
    Sort(5, "failing"),
    Sort(2, "failing", "blocking=true"),
    Sort(3, "raising"),
    Sort(1, "exiting"),
    Sort(4, "together", "", 0.2),
    Sort(5, "outer", "", 0.05),
    Sort(3, "outer", "blocking=true", 0.02),
    Sort(2, "outer", "blocking=true&timeout=60", 0.1),
    Sort(2, "broken"),
    Sort(7, TRIGGER),
)


class Load:
    """`run` calls until it is stopped or the platform does not answer. Runs in a thread with a loop of its own, so
    that the killer keeps its time."""

    def __init__(self, url: str, key: str, seed: str, *, callers: int = CALLERS) -> None:
        self.book = Book()
        self._url = f"{url}/api/v1/namespaces/_"
        self._callers = callers
        self._auth = aiohttp.BasicAuth(*key.split(":", 1))
        self._choice = random.Random(seed)
        self._tokens = (f"{seed}-{number}" for number in itertools.count())
        self._over = threading.Event()
        self._rest_until = 0.0
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="load")

    def start(self) -> None:
        self._thread.start()

    def rest(self, seconds: float) -> None:
        """Call nobody for a while: guests that have nothing to do freeze."""
        self._rest_until = time.monotonic() + seconds

    def stop(self) -> Book:
        self._over.set()
        self._thread.join(90)
        assert not self._thread.is_alive(), "callers are still waiting"
        return self.book

    async def _all(self) -> None:
        connector = aiohttp.TCPConnector(limit=self._callers + 1)
        async with aiohttp.ClientSession(auth=self._auth, connector=connector) as session:
            callers = [self._caller(session, self._random_sort) for _ in range(self._callers)]
            await asyncio.gather(*callers, self._caller(session, lambda: Sort(0, "idle"), IDLE_AGAIN_S))

    def _address(self) -> str:
        return self._url

    def _random_sort(self) -> Sort:
        return self._choice.choices(MIX, [sort.share for sort in MIX])[0]

    async def _caller(self, session: aiohttp.ClientSession, sort: Callable[[], Sort], rest_s: float = 0.0) -> None:
        while not self._over.is_set():
            try:
                await self._call(session, sort())
            except (aiohttp.ClientError, ConnectionError, TimeoutError):
                return  # the platform is dead: this caller was given nothing
            await asyncio.sleep(max(rest_s, self._rest_until - time.monotonic()))

    async def _call(self, session: aiohttp.ClientSession, sort: Sort) -> None:
        token = next(self._tokens)
        body: dict[str, Any] = {"token": token}
        if sort.sleeps_s:
            body["s"] = self._choice.uniform(0, sort.sleeps_s)
        path = f"triggers/{TRIGGER}" if sort.what == TRIGGER else f"actions/{sort.what}?{sort.query}"
        async with session.post(f"{self._address()}/{path}", json=body) as answer:
            told = await answer.json()
            if "activationId" in told:
                self.book.given.append(Given(told["activationId"], sort.what, token, answer.status))
                return
        self.book.refused[f"{answer.status}"] += 1
        await asyncio.sleep(0.02)
