"""Whom to keep, whom to evict, when to start another. Pure.

Keeping is greedy-dual with sizes and frequencies (Cherkasova 1998, "Improving WWW Proxies Performance with
Greedy-Dual-Size-Frequency Caching"; applied to warm containers by Fuerst and Sharma, ASPLOS 2021, "FaasCache"):
value = clock + uses x cost of a cold start / memory, where the clock is the value of the last one evicted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable

from upwhisk.invoker.pool.slots import Slot

_UNKNOWN_COLD_S = 0.05
_WEIGHT = 0.2
"""Weight of the newest observation in the running means."""
_REMEMBERED = 4096
"""How many actions' means are kept; the least recently used is forgotten."""


class Costs:
    """Running means of what each action's cold start and run take, in seconds."""

    def __init__(self) -> None:
        self.clock = 0.0
        self._seen: OrderedDict[Hashable, list[float]] = OrderedDict()

    def initialised(self, key: Hashable, took_s: float) -> None:
        entry = self._entry(key)
        entry[0] = took_s if entry[0] < 0 else entry[0] + _WEIGHT * (took_s - entry[0])

    def ran(self, key: Hashable, took_s: float) -> None:
        entry = self._entry(key)
        entry[1] = took_s if entry[1] < 0 else entry[1] + _WEIGHT * (took_s - entry[1])
        entry[2] += 1

    def cold_s(self, key: Hashable) -> float:
        entry = self._seen.get(key)
        return _UNKNOWN_COLD_S if entry is None or entry[0] < 0 else entry[0]

    def run_s(self, key: Hashable) -> float | None:
        """None until one run was seen."""
        entry = self._seen.get(key)
        return None if entry is None or entry[1] < 0 else entry[1]

    def value(self, key: Hashable, memory_mb: int) -> float:
        entry = self._seen.get(key)
        uses = entry[2] if entry is not None else 1
        return self.clock + uses * self.cold_s(key) * 1000 / max(1, memory_mb)

    def evicted(self, value: float) -> None:
        self.clock = max(self.clock, value)

    def _entry(self, key: Hashable) -> list[float]:
        entry = self._seen.get(key)
        if entry is None:
            entry = self._seen[key] = [-1.0, -1.0, 0.0]
            if len(self._seen) > _REMEMBERED:
                self._seen.popitem(last=False)
        return entry


def worth_starting(
    costs: Costs, key: Hashable, *, waiting: int, coming: int, serving: int, waited: float
) -> bool:
    """Whether to start one more container for an action.

    `waiting` requests wait, `coming` places are on their way, `serving` containers exist. Waiting for a busy one is
    better when it will be free sooner than a new one could be ready; a guess that proves wrong is dropped as soon
    as the oldest has waited as long as a start takes.
    """
    if waiting <= coming:
        return False
    run_s = costs.run_s(key)
    if serving == 0 or run_s is None:
        return True
    cold_s = costs.cold_s(key)
    return waited >= cold_s or run_s * waiting / serving > cold_s


def eviction_order(idle: Iterable[Slot]) -> list[Slot]:
    """The least valuable first; unused containers after used ones of no value; the longest idle first among equals."""
    return sorted(idle, key=lambda slot: (slot.key is None, slot.value, slot.idle_since))
