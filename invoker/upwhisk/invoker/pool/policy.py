"""Whom to keep, whom to evict, when to start another. Pure.

Keeping is greedy-dual with sizes and frequencies (Cherkasova 1998, "Improving WWW Proxies Performance with
Greedy-Dual-Size-Frequency Caching"; applied to warm containers by Fuerst and Sharma, ASPLOS 2021, "FaasCache"):
value = clock + uses x cost of a cold start / memory, where the clock is the value of the last one evicted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence

from upwhisk.invoker.pool.slots import Phase, Slot, Want

TRIES = 3
"""How many containers may fail for one request before it is refused."""
_UNKNOWN_COLD_S = 0.05
_WEIGHT = 0.2
"""Weight of the newest observation in the running means."""
_REMEMBERED = 4096
"""How many actions' means are kept; the least recently used is forgotten."""
_REFILL_S, _REFILL_MAX_S = 0.5, 60.0
_HOPE_S = 1.0
"""So long a request waits for a container that may turn out to take several activations at once."""


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


class Refills:
    """When to make another container to hold ready: after a failure later and later, up to a minute."""

    def __init__(self) -> None:
        self._failures = 0
        self._after = 0.0

    def due(self, now: float) -> bool:
        return now >= self._after

    def failed(self, now: float) -> None:
        self._after = now + min(_REFILL_S * 2**self._failures, _REFILL_MAX_S)
        self._failures = min(self._failures + 1, 10)

    def succeeded(self) -> None:
        self._failures = 0


def worth_starting(
    costs: Costs, want: Want, mine: Sequence[Slot], *, waiting: int, starting: int, now: float
) -> bool:
    """Whether to start one more container for an action.

    `want` is the oldest of `waiting` requests, `mine` are the containers that serve the action, `starting` ones are
    under way that could. Waiting for a busy one is better when it will be free sooner than a new one could be ready;
    a guess that proves wrong is dropped as soon as the oldest has waited as long as a start takes.
    """
    waited = now - want.since
    if waiting <= _coming(want, mine, starting, waited):
        return False
    run_s = costs.run_s(want.key)
    if not mine or run_s is None:
        return True
    cold_s = costs.cold_s(want.key)
    return waited >= cold_s or run_s * waiting / len(mine) > cold_s


def _coming(want: Want, mine: Sequence[Slot], starting: int, waited: float) -> int:
    """How many of those who wait will be served by what is on its way. How many a new container takes is only known
    when it is initialised: it is hoped to take as many as the action allows, for a while."""
    hoped = want.concurrency if waited < _HOPE_S else 1
    known = max((slot.capacity for slot in mine if not slot.fresh), default=hoped)
    thawing = sum(slot.capacity for slot in mine if slot.phase is Phase.THAWING)
    fresh = sum(max(0, hoped - slot.active) for slot in mine if slot.fresh)
    return thawing + fresh + starting * known


def eviction_order(idle: Iterable[Slot]) -> list[Slot]:
    """The least valuable first; unused containers after used ones of no value; the longest idle first among equals."""
    return sorted(idle, key=lambda slot: (slot.key is None, slot.value, slot.idle_since))
