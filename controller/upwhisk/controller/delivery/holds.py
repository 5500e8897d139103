"""Which messages of a log are still needed: a message is done once every id that depends on it is stored or gone.

Whoever reads a log again gets what was not done, and perhaps more. So nothing that followed on the message which brought
an id is done before that one is: read again alone, it would bring the id back. And a word on whose the log is stays needed
until a later one stands before everything else that is needed: a reader has to know the owner before anything else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.bus import Delivery


class _Hold:
    """`count`: ids that need it. `after`: what is not done before it."""

    __slots__ = ("after", "count", "delivery", "number")

    def __init__(self, delivery: Delivery, number: int) -> None:
        self.delivery = delivery
        self.number = number
        self.count = 0
        self.after: list[_Hold] = []


class Holds:
    """`released`: nothing is given back to the bus any more, because somebody else reads this log now."""

    def __init__(self) -> None:
        self._by_id: dict[ActivationId, list[_Hold]] = {}
        """The messages an id needs, the one that brought it first."""
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

    def keep_word(self, delivery: Delivery) -> None:
        """A word on whose the log is."""
        self._read += 1
        self._words.append(_Hold(delivery, self._read))
        self._drop_words()

    def keep(self, delivery: Delivery, ids: Iterable[ActivationId]) -> None:
        """`ids` depend on this message; with none of them it is done."""
        self._read += 1
        hold = _Hold(delivery, self._read)
        for id_ in dict.fromkeys(ids):
            hold.count += 1
            self._by_id.setdefault(id_, []).append(hold)
        if hold.count:
            self._open[hold] = None
        else:
            self._done(delivery)

    def free(self, id: ActivationId) -> None:
        """Nothing that was read so far is needed for this id any more."""
        holds = self._by_id.pop(id, None)
        if holds is None:
            return
        holds[0].after += holds[1:]
        self._less(holds[0])
        self._drop_words()

    def oldest(self, count: int) -> set[ActivationId]:
        """Ids that came with one of the first `count` messages after the first that is needed."""
        if not self._open:
            return set()
        end = next(iter(self._open)).number + count
        return {id_ for id_, holds in self._by_id.items() if holds[0].number < end}

    def _less(self, hold: _Hold) -> None:
        waiting = [hold]
        while waiting:
            one = waiting.pop()
            one.count -= 1
            if one.count == 0:
                del self._open[one]
                self._done(one.delivery)
                waiting += one.after

    def _drop_words(self) -> None:
        first = next(iter(self._open)).number if self._open else self._read + 1
        while len(self._words) > 1 and self._words[1].number < first:
            self._done(self._words.popleft().delivery)

    def _done(self, delivery: Delivery) -> None:
        if not self.released:
            delivery.done()
