"""Callers who spread over all controllers and go on when one of them is gone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

import aiohttp
from crash.load import Load, Sort

_PAUSE_S = 0.1
_ANSWER_S = 90.0


class FleetLoad(Load):
    """`pace_s`: each caller rests so long between two calls, to keep the load steady and bounded."""

    def __init__(self, urls: Sequence[str], key: str, seed: str, *, callers: int, pace_s: float) -> None:
        super().__init__(urls[0], key, seed, callers=callers)
        self._urls = [f"{url}/api/v1/namespaces/_" for url in urls]
        self._where = random.Random(f"{seed}-where")
        self._pace_s = pace_s
        self.broken = 0
        """Calls without an answer: the caller was given nothing."""

    async def _caller(self, session: aiohttp.ClientSession, sort: Callable[[], Sort], rest_s: float = 0.0) -> None:
        while not self._over.is_set():
            try:
                async with asyncio.timeout(_ANSWER_S):
                    await self._call(session, sort())
            except (aiohttp.ClientError, ConnectionError, TimeoutError):
                self.broken += 1
                await asyncio.sleep(_PAUSE_S)
            await asyncio.sleep(max(rest_s, self._pace_s))

    def _address(self) -> str:
        return self._where.choice(self._urls)
