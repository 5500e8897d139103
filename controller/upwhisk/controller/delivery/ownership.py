"""How long a controller may believe that a log is its own, and when a log may go. Pure.

Who takes a log over says so in it, and the former owner reads that. But a former owner that was away may come back when the
topic has gone and would begin anew with what it writes. So an owner believes what it reads only as long as something that
it wrote lately has come back; a log that was taken over is not removed before its former owner cannot believe any more.
"""

from __future__ import annotations

from collections.abc import Callable

OWNED_S = 60.0
"""So long after it wrote what has come back last, the log is an owner's own."""
REMOVED_AFTER_S = 75.0
"""The topic of a log that was taken over is not removed sooner after; the difference is for clocks that do not run alike."""
_QUIET_S = 5.0


class Ownership:
    """One owner's. Words are counted: 0 is the one that took the log over."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._said: dict[int, float] = {}
        self._words = 0
        self._confirmed_at = 0.0
        self._last_said_at = 0.0

    def says(self) -> int:
        """A word is about to be sent; its number."""
        word = self._words
        self._words += 1
        self._said[word] = self._last_said_at = self._now()
        return word

    @property
    def last_word(self) -> int:
        return self._words - 1

    def heard(self, word: int) -> None:
        """It came back."""
        self.confirmed(self._said.pop(word, 0.0))
        for earlier in [each for each in self._said if each < word]:
            del self._said[earlier]

    def confirmed(self, sent_at: float) -> None:
        """Something that was sent then came back and counted."""
        self._confirmed_at = max(self._confirmed_at, sent_at)

    @property
    def has_lapsed(self) -> bool:
        return self._now() - self._confirmed_at > OWNED_S

    @property
    def is_quiet(self) -> bool:
        """Nothing was confirmed for a while, nor a word said: time for one."""
        return self._now() - max(self._confirmed_at, self._last_said_at) > _QUIET_S
