"""Which messages of a log are still needed: a message is done once every id that depends on it is stored or gone.

Whoever reads the log again begins with the first message that is not done. It has to know the owner before anything else, so
a word on whose the log is stays needed until a later one stands before everything else that is needed, one that may be
begun with (`beginnings.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.bus import Delivery
from upwhisk.controller.delivery.beginnings import Begin


class _Hold:
    __slots__ = ("count", "delivery", "number", "with_it")

    def __init__(self, delivery: Delivery, number: int) -> None:
        self.delivery = delivery
        self.number = number
        self.count = 0
        self.with_it: list[Delivery] = []


class Holds:
    """`released`: nothing is given back to the bus any more, because somebody else reads this log now."""

    def __init__(self) -> None:
        self._by_id: dict[ActivationId, list[_Hold]] = {}
        self._open: dict[_Hold, None] = {}
        self._words: deque[_Hold] = deque()
        """Those to begin with; the others are done with the one before them."""
        self._perhaps: _Hold | None = None
        self._before: list[Delivery] = []
        """What nobody needs, before any word: whose the log is, is known only from the beginning."""
        self._read = 0
        self.released = False

    def __len__(self) -> int:
        """Messages that ids depend on."""
        return len(self._open)

    @property
    def span(self) -> int:
        """How many messages lie between the first that an id depends on and the end of what was read."""
        return self._read - next(iter(self._open)).number if self._open else 0

    def keep_word(self, delivery: Delivery, begin: Begin) -> None:
        """A word on whose the log is. The first is always one to begin with."""
        self._read += 1
        hold = _Hold(delivery, self._read)
        if not self._words:
            self._words.append(hold)
            while self._before:
                self._done(self._before.pop())
        elif begin is Begin.PERHAPS:
            self.decide(begins=False)
            self._perhaps = hold
        else:
            self._add_word(hold, begins=begin is Begin.YES)

    def decide(self, *, begins: bool) -> None:
        """Whether the last word of which it was not known is one to begin with."""
        hold, self._perhaps = self._perhaps, None
        if hold is not None:
            self._add_word(hold, begins=begins)

    def retold(self) -> None:
        """Something is sent that retells work: until it has come back only the first word is one to begin with."""
        self.decide(begins=False)
        while len(self._words) > 1:
            word = self._words.pop()
            self._words[0].with_it += [*word.with_it, word.delivery]

    def _add_word(self, hold: _Hold, *, begins: bool) -> None:
        if begins:
            self._words.append(hold)
            self._drop_words()
        else:
            self._words[-1].with_it.append(hold.delivery)

    def keep(self, delivery: Delivery, ids: Iterable[ActivationId]) -> None:
        """`ids` depend on this message; with none of them it is done."""
        self._read += 1
        hold = _Hold(delivery, self._read)
        for id_ in ids:
            hold.count += 1
            self._by_id.setdefault(id_, []).append(hold)
        if hold.count:
            self._open[hold] = None
        elif self._words:
            self._done(delivery)
        else:
            self._before.append(delivery)

    def free(self, id: ActivationId) -> None:
        """Nothing that was read so far is needed for this id any more."""
        for hold in self._by_id.pop(id, ()):
            hold.count -= 1
            if hold.count == 0:
                del self._open[hold]
                self._done(hold.delivery)
        self._drop_words()

    def oldest(self, count: int) -> set[ActivationId]:
        """Ids that came with one of the first `count` messages after the first that is needed."""
        if not self._open:
            return set()
        end = next(iter(self._open)).number + count
        return {id_ for id_, holds in self._by_id.items() if holds[0].number < end}

    def _drop_words(self) -> None:
        first = next(iter(self._open)).number if self._open else self._read + 1
        while len(self._words) > 1 and self._words[1].number < first:
            word = self._words.popleft()
            for delivery in (*word.with_it, word.delivery):  # the first at last: the others are no places to begin at
                self._done(delivery)

    def _done(self, delivery: Delivery) -> None:
        if not self.released:
            delivery.done()
