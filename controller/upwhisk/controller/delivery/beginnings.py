"""Where a log may be begun to be read. Pure.

A reader who begins at a word knows nothing of what lies before. Most entries mean nothing to who does not know their work,
but some retell it: work that is carried, and work that is accepted after a node had it. What they tell is as old as their
sending; if the work ended on the way, the owner knows better, but who begins in between would take it for true. So nobody
begins between what was read when such an entry was sent, and the entry itself. Only the word that was sent right before
what is carried is one to begin with, once all of it turned out to be true.
"""

from __future__ import annotations

from enum import Enum, auto


class Begin(Enum):
    """`PERHAPS`: it depends on what comes right after the word."""

    YES = auto()
    PERHAPS = auto()
    NO = auto()


class Beginnings:
    """One owner's words and bundles, by their numbers, in the order of sending, which is that of the log."""

    def __init__(self) -> None:
        self._sent: dict[int, int] = {}
        """Words that have not come back -> the last bundle before them."""
        self._retelling = 0
        self._companion = -1

    def says(self, word: int, last_bundle: int) -> None:
        self._sent[word] = last_bundle

    def retells(self, bundle: int, *, companion: int = -1) -> None:
        """This bundle is about to be sent. `companion`: the word that was sent right before it."""
        self._retelling, self._companion = bundle, companion

    def heard(self, word: int) -> Begin:
        """The word came back: what was sent before it has arrived before it, or never will."""
        last_bundle = self._sent.pop(word, 0)
        for earlier in [each for each in self._sent if each < word]:
            del self._sent[earlier]
        if self._retelling <= last_bundle:
            return Begin.YES
        return Begin.PERHAPS if word == self._companion and self._retelling == last_bundle + 1 else Begin.NO

    def told(self, bundle: int, *, is_true: bool) -> bool | None:
        """A bundle came back: whether reading may begin with its companion; None if it has none."""
        if self._companion < 0 or bundle < self._retelling:
            return None
        self._companion = -1
        return is_true and bundle == self._retelling
