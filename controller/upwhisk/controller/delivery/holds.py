"""Which messages of a log are still needed: a message is done once every id that depends on it is stored or gone.

Whoever reads the log again begins with the first message that is not done. It has to know the owner before anything else, so
a word on whose the log is stays needed until a later one stands before everything else that is needed. And it must not
begin between the end of an id and something that would bring it back: see `keep_word`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.bus import Delivery


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
        self._read = 0
        self.released = False

    def __len__(self) -> int:
        """Messages that ids depend on."""
        return len(self._open)

    @property
    def span(self) -> int:
        """How many messages lie between the first that an id depends on and the end of what was read."""
        return self._read - next(iter(self._open)).number if self._open else 0

    def keep_word(self, delivery: Delivery, *, begins: bool) -> None:
        """A word on whose the log is. `begins`: reading may begin with it. Not while something is on its way that says what
        is known of work: the work may have ended before this word, and reading from here on it would come back."""
        self._read += 1
        if begins or not self._words:
            self._words.append(_Hold(delivery, self._read))
            self._drop_words()
        else:
            self._words[-1].with_it.append(delivery)

    def keep(self, delivery: Delivery, ids: Iterable[ActivationId]) -> None:
        """`ids` depend on this message; with none of them it is done."""
        self._read += 1
        hold = _Hold(delivery, self._read)
        for id_ in ids:
            hold.count += 1
            self._by_id.setdefault(id_, []).append(hold)
        if hold.count:
            self._open[hold] = None
        else:
            self._done(delivery)

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
