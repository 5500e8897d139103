"""Which messages of a log are still needed: a message is done once every id that depends on it is stored or gone.

A word on whose the log is stays needed until a later one stands before everything else that is needed: whoever reads from
the first needed message on has to know the owner before anything else.
"""

from __future__ import annotations

from collections import deque

from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.bus import Delivery


class _Hold:
    __slots__ = ("count", "delivery", "number")

    def __init__(self, delivery: Delivery, number: int) -> None:
        self.delivery = delivery
        self.number = number
        self.count = 0


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

    def keep_word(self, delivery: Delivery) -> None:
        """A word on whose the log is."""
        self._read += 1
        self._words.append(_Hold(delivery, self._read))
        self._drop_words()

    def keep(self, delivery: Delivery, ids: list[ActivationId]) -> None:
        """`ids` depend on this message; with none of them it is done."""
        self._read += 1
        if not ids:
            self._done(delivery)
            return
        hold = _Hold(delivery, self._read)
        for id_ in ids:
            hold.count += 1
            self._by_id.setdefault(id_, []).append(hold)
        self._open[hold] = None

    def free(self, id: ActivationId) -> None:
        """Nothing is needed for this id any more."""
        for hold in self._by_id.pop(id, ()):
            hold.count -= 1
            if hold.count == 0:
                self._open.pop(hold, None)
                self._done(hold.delivery)
        self._drop_words()

    def oldest(self, count: int) -> set[ActivationId]:
        """Ids that need one of the `count` oldest messages."""
        old = set(list(self._open)[:count])
        return {id_ for id_, holds in self._by_id.items() if holds[0] in old}

    def _drop_words(self) -> None:
        first = next(iter(self._open)).number if self._open else self._read + 1
        while len(self._words) > 1 and self._words[1].number < first:
            self._done(self._words.popleft().delivery)

    def _done(self, delivery: Delivery) -> None:
        if not self.released:
            delivery.done()
