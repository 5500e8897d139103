"""Which messages of a log are still needed: a message is done once every id that depends on it is stored or gone."""

from __future__ import annotations

from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.bus import Delivery


class _Hold:
    __slots__ = ("count", "delivery")

    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.count = 0


class Holds:
    """`released`: nothing is given back to the bus any more, because somebody else reads this log now."""

    def __init__(self) -> None:
        self._by_id: dict[ActivationId, list[_Hold]] = {}
        self._open: dict[_Hold, None] = {}
        self.released = False

    def __len__(self) -> int:
        """Messages that are needed."""
        return len(self._open)

    def keep(self, delivery: Delivery, ids: list[ActivationId]) -> None:
        """`ids` depend on this message; with none of them it is done."""
        if not ids:
            self._done(delivery)
            return
        hold = _Hold(delivery)
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

    def oldest(self, count: int) -> set[ActivationId]:
        """Ids that need one of the `count` oldest messages."""
        old = set(list(self._open)[:count])
        return {id_ for id_, holds in self._by_id.items() if holds[0] in old}

    def _done(self, delivery: Delivery) -> None:
        if not self.released:
            delivery.done()
