"""What each namespace may use, known until somebody changes it."""

from __future__ import annotations

from upwhisk.common.clock import Clock
from upwhisk.common.model.identity import UNLIMITED, NamespaceLimits
from upwhisk.common.spi.store import SubjectStore
from upwhisk.controller.kept import Kept


class KnownLimits:
    def __init__(self, subjects: SubjectStore, clock: Clock) -> None:
        self._subjects = subjects
        self._kept: Kept[NamespaceLimits] = Kept(clock)

    def forget(self) -> None:
        self._kept.forget()

    async def of(self, namespace: str) -> NamespaceLimits:
        """`StoreUnavailable` if they are not known and cannot be read."""
        limits = self._kept.get(namespace)
        if limits is None:
            generation = self._kept.generation
            limits = await self._subjects.limits(namespace) or UNLIMITED
            self._kept.keep(namespace, limits, generation)
        return limits
