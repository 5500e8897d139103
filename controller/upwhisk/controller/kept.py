"""Answers of a store, kept for a while: bounded in number and age, and dropped all at once when something changes."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

from upwhisk.common.clock import Clock

MAX_AGE_S: Final = 300.0
MAX_CACHED: Final = 4096
T = TypeVar("T")


class Kept(Generic[T]):
    """By text. What was asked for before a `forget` is not kept after it: pass the `generation` of before the question."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[str, tuple[T, float]] = {}
        self.generation = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> T | None:
        entry = self._kept.get(key)
        return None if entry is None or entry[1] < self._clock.monotonic() else entry[0]

    def keep(self, key: str, value: T, generation: int) -> None:
        if generation != self.generation:
            return
        if len(self._kept) >= MAX_CACHED:
            self._kept.clear()
        self._kept[key] = value, self._clock.monotonic() + MAX_AGE_S

    def forget(self) -> None:
        self.generation += 1
        self._kept.clear()
