"""The one life cycle of everything that owns something."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Resource(ABC):
    """Owns something that has to be given back.

    * Constructors only keep their arguments: nothing starts before `start`.
    * `start` returns when the resource is ready for use, and raises if it cannot be.
    * `aclose` gives everything back; it may be called at any time, more than once, and waits with a deadline.
    """

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def aclose(self) -> None: ...

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
