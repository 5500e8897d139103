"""Whose turn it is in a storm: each kind of fault as often as the others, a third of all in the midst of another's recovery. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


class Turns:
    """Each of `kinds` has `rounds` turns, in random order round by round."""

    def __init__(self, kinds: Sequence[str], rounds: int, choice: random.Random) -> None:
        self._left = [kind for _ in range(rounds) for kind in choice.sample(kinds, len(kinds))]
        self._struck = 0
        self._in_recovery = 0

    def __len__(self) -> int:
        return len(self._left)

    def first(self, make: Callable[[str], T | None]) -> T | None:
        """The next that `make` can make now; it says None where every possible victim is in trouble."""
        for kind in dict.fromkeys(self._left):
            if (made := make(kind)) is not None:
                self._left.remove(kind)
                self._struck += 1
                return made
        return None

    def second(self, make: Callable[[str], T | None]) -> T | None:
        """One to strike during the recovery from the first, if less than a third of all have."""
        if 3 * self._in_recovery >= self._struck:
            return None
        made = self.first(make)
        self._in_recovery += made is not None
        return made
