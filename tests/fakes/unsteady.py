"""A store of entities that takes its time, so that what is asked at once interleaves."""

from __future__ import annotations

import asyncio
import random

from upwhisk.common.spi.store import Document, EntityQuery, EntityStore


class Unsteady(EntityStore):
    """Repeatable by `choice`."""

    def __init__(self, inner: EntityStore, choice: random.Random) -> None:
        self._inner = inner
        self._choice = choice

    async def _rest(self) -> None:
        for _ in range(self._choice.randrange(6)):
            await asyncio.sleep(0)

    async def get(self, id: str, *, attachment: bool = False) -> Document | None:
        await self._rest()
        found = await self._inner.get(id, attachment=attachment)
        await self._rest()
        return found

    async def put(self, document: Document) -> str:
        await self._rest()
        revision = await self._inner.put(document)
        await self._rest()
        return revision

    async def delete(self, id: str, revision: str) -> None:
        await self._rest()
        await self._inner.delete(id, revision)
        await self._rest()

    async def list(self, query: EntityQuery) -> list[Document]:
        await self._rest()
        found = await self._inner.list(query)
        await self._rest()
        return found

    async def count(self, query: EntityQuery) -> int:
        return await self._inner.count(query)
