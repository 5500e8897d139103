"""The life of every container on a node, as a state machine. Pure: events in, commands out.

    STARTING ──Started──▶ PREWARMED ──claimed──▶ BUSY ◀──granted── WARM ──idle──▶ FREEZING ─▶ FROZEN
        │                                         │  ──released──▶                             │
        └────────────claimed when Started─────────┘        BUSY ◀── THAWING ◀──────wanted──────┘
    any state ──Died / evicted / failed──▶ gone (with a Destroy command)

Rules it keeps:
* A container that has run for one (namespace, action revision) is never granted to another.
* No request is bound to a container that is still starting: whichever becomes free first takes the oldest request
  that it fits, so one slow start or one slow guest never holds up others.
* The memory of all containers stays below the cap: idle ones are evicted by value to make room.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from upwhisk.common.spi.containers import ContainerSpec
from upwhisk.invoker.pool.policy import Costs, eviction_order, worth_starting
from upwhisk.invoker.pool.slots import (
    IDLE,
    Command,
    Destroy,
    Freeze,
    Grant,
    Phase,
    Refuse,
    Slot,
    Start,
    Thaw,
    Want,
    WarmKey,
    fits,
)


@dataclass(slots=True)
class PoolLimits:
    """`prewarm`: how many idle containers of each spec to hold ready; `prewarmed_mb`: what each is counted as."""

    memory_mb: int
    starts_at_once: int = 4
    freeze_after_s: float = 10.0
    evict_after_s: float = 600.0
    prewarm: dict[ContainerSpec, int] = field(default_factory=dict)
    prewarmed_mb: int = 32
    can_freeze: bool = True


class PoolState:
    """Mutated through its event methods only; each returns the commands to carry out, in order."""

    def __init__(self, limits: PoolLimits) -> None:
        self.limits = limits
        self.slots: dict[int, Slot] = {}
        self.costs = Costs()
        self._waiting: dict[WarmKey, OrderedDict[int, Want]] = {}
        self._by_key: dict[WarmKey, list[Slot]] = {}
        self._numbers = 0

    # -- events ---------------------------------------------------------------------------------------------------

    def wanted(self, want: Want) -> list[Command]:
        """Somebody needs a container."""
        slot = self._free_slot(want.key)
        if slot is not None and slot.phase is not Phase.FROZEN:
            return [self._grant(want.ticket, slot, "warm")]
        self._waiting.setdefault(want.key, OrderedDict())[want.ticket] = want
        if slot is not None:
            slot.phase = Phase.THAWING
            return [Thaw(slot.number)]
        return self._supply(want.key, want.since)

    def cancelled(self, ticket: int, key: WarmKey) -> list[Command]:
        """The request was given up before it was granted."""
        queue = self._waiting.get(key)
        if queue is not None:
            queue.pop(ticket, None)
            if not queue:
                del self._waiting[key]
        return []

    def started(self, number: int, now: float) -> list[Command]:
        slot = self.slots[number]
        slot.phase = Phase.PREWARMED
        slot.idle_since = now
        want = self._oldest_for(slot.spec)
        if want is not None:
            return [self._claim(want, slot, "cold")]
        return self._rebalance(now)

    def start_failed(self, number: int, reason: str, now: float, *, missing: str = "") -> list[Command]:
        """The oldest request it could have served is refused; the others wait for the next try."""
        slot = self._forget(number)
        want = self._oldest_for(slot.spec)
        if want is None:
            return []
        self.cancelled(want.ticket, want.key)
        return [Refuse(want.ticket, reason, missing), *self._rebalance(now)]

    def initialised(self, number: int, capacity: int, took_s: float, now: float) -> list[Command]:
        """The first activation of a container has initialised it for `capacity` activations at once."""
        slot = self.slots.get(number)
        if slot is None or slot.key is None:
            return []
        slot.fresh = False
        slot.capacity = max(1, capacity)
        self.costs.initialised(slot.key, took_s)
        return self._serve(slot, now)

    def released(self, number: int, *, keep: bool, ran_s: float, now: float) -> list[Command]:
        """One activation is done with the container; without `keep` nobody may use it again."""
        slot = self.slots.get(number)
        if slot is None or slot.key is None:
            return self._rebalance(now)
        slot.active -= 1
        self.costs.ran(slot.key, ran_s)
        slot.doomed = slot.doomed or not keep
        if slot.doomed:
            return self._retire(slot, now)
        if slot.active == 0:
            slot.phase = Phase.WARM
            slot.idle_since = now
            slot.value = self.costs.value(slot.key, slot.spec.memory_mb)
        return self._serve(slot, now) if self._waiting else []

    def died(self, number: int, now: float) -> list[Command]:
        """The container's process is gone. Its activations learn it from their own calls."""
        slot = self.slots.get(number)
        if slot is None:
            return []
        slot.doomed = True
        return self._retire(slot, now)

    def frozen(self, number: int) -> list[Command]:
        slot = self.slots.get(number)
        if slot is None or slot.phase is not Phase.FREEZING:
            return []
        slot.phase = Phase.FROZEN
        if slot.key in self._waiting:
            slot.phase = Phase.THAWING
            return [Thaw(number)]
        return []

    def thawed(self, number: int, now: float) -> list[Command]:
        slot = self.slots.get(number)
        if slot is None or slot.phase is not Phase.THAWING:
            return []
        slot.phase = Phase.WARM
        slot.idle_since = now
        return self._serve(slot, now)

    def ticked(self, now: float) -> list[Command]:
        """Time passed: freeze and evict what idles, start what waits, refill what is held ready."""
        commands: list[Command] = []
        for slot in list(self.slots.values()):
            idle = now - slot.idle_since
            if slot.phase in IDLE and idle >= self.limits.evict_after_s:
                commands.append(self._destroy(slot))
            elif slot.phase is Phase.WARM and self.limits.can_freeze and idle >= self.limits.freeze_after_s:
                slot.phase = Phase.FREEZING
                commands.append(Freeze(slot.number))
        return commands + self._rebalance(now) + self._refill()

    # -- what others ask ------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    def memory_mb(self) -> int:
        return sum(self._memory_of(slot) for slot in self.slots.values())

    def count(self, phase: Phase) -> int:
        return sum(1 for slot in self.slots.values() if slot.phase is phase)

    def warm_keys(self) -> set[WarmKey]:
        return set(self._by_key)

    # -- granting -------------------------------------------------------------------------------------------------

    def _free_slot(self, key: WarmKey) -> Slot | None:
        """The busiest container of `key` with room, else the idle one used last, else a frozen one."""
        best: Slot | None = None
        for slot in self._by_key.get(key, ()):
            if slot.doomed or slot.fresh or slot.active >= slot.capacity:
                continue
            if slot.phase in _PREFERENCE and (best is None or _preference(slot) > _preference(best)):
                best = slot
        return best

    def _grant(self, ticket: int, slot: Slot, start: str) -> Grant:
        slot.phase = Phase.BUSY
        slot.active += 1
        return Grant(ticket, slot.number, start)

    def _claim(self, want: Want, slot: Slot, start: str) -> Grant:
        """Give a container that nobody has used yet to `want`, for good."""
        self.cancelled(want.ticket, want.key)
        slot.key = want.key
        slot.spec = want.spec
        self._by_key.setdefault(want.key, []).append(slot)
        return self._grant(want.ticket, slot, start)

    def _serve(self, slot: Slot, now: float) -> list[Command]:
        """Grant a container that has room to those who wait for its key."""
        commands: list[Command] = []
        assert slot.key is not None
        while not slot.fresh and slot.active < slot.capacity:
            queue = self._waiting.get(slot.key)
            if not queue:
                break
            ticket, _ = next(iter(queue.items()))
            self.cancelled(ticket, slot.key)
            commands.append(self._grant(ticket, slot, "warm"))
        return commands + self._rebalance(now)

    def _oldest_for(self, spec: ContainerSpec) -> Want | None:
        """The oldest request that a container of `spec` can serve."""
        heads = (next(iter(queue.values())) for queue in self._waiting.values())
        return min((w for w in heads if fits(w.spec, spec)), key=lambda w: w.since, default=None)

    # -- supply ---------------------------------------------------------------------------------------------------

    def _rebalance(self, now: float) -> list[Command]:
        commands: list[Command] = []
        for key in list(self._waiting):
            commands += self._supply(key, now)
        return commands

    def _supply(self, key: WarmKey, now: float) -> list[Command]:
        """Decide for those who wait for `key`: take a prewarmed container, start one, or wait for a busy one."""
        queue = self._waiting.get(key)
        if not queue:
            return []
        want = next(iter(queue.values()))
        mine = [s for s in self._by_key.get(key, ()) if not s.doomed]
        starting = sum(1 for s in self.slots.values() if s.phase is Phase.STARTING and fits(want.spec, s.spec))
        capacity = max((s.capacity for s in mine), default=1)
        coming = sum(s.capacity for s in mine if s.phase is Phase.THAWING or s.fresh) + starting * capacity
        waited = now - want.since
        if not worth_starting(self.costs, key, waiting=len(queue), coming=coming, serving=len(mine), waited=waited):
            return []
        ready = self._prewarmed(want.spec)
        if ready is not None:
            return [self._claim(want, ready, "prewarmed")]
        return self._start(want.spec)

    def _prewarmed(self, spec: ContainerSpec) -> Slot | None:
        for slot in self.slots.values():
            if slot.phase is Phase.PREWARMED and fits(spec, slot.spec):
                room = self._make_room(spec.memory_mb - self._memory_of(slot))
                if room is not None and not room:
                    return slot
        return None

    def _start(self, spec: ContainerSpec) -> list[Command]:
        if self.count(Phase.STARTING) >= self.limits.starts_at_once:
            return []
        evicted = self._make_room(spec.memory_mb)
        if evicted is None:
            return []
        commands: list[Command] = [self._destroy(slot) for slot in evicted]
        self._numbers += 1
        self.slots[self._numbers] = Slot(self._numbers, spec)
        commands.append(Start(self._numbers, spec))
        return commands

    def _make_room(self, needed_mb: int) -> list[Slot] | None:
        """Which idle containers have to go so that `needed_mb` fit; None if that is not enough."""
        free = self.limits.memory_mb - self.memory_mb()
        victims: list[Slot] = []
        if free < needed_mb:
            idle = [s for s in self.slots.values() if s.phase in IDLE or s.phase is Phase.PREWARMED]
            for slot in eviction_order(idle):
                victims.append(slot)
                free += self._memory_of(slot)
                if free >= needed_mb:
                    break
        return victims if free >= needed_mb else None

    def _refill(self) -> list[Command]:
        commands: list[Command] = []
        if self._waiting:
            return commands
        for spec, wanted in self.limits.prewarm.items():
            ready = sum(
                1 for s in self.slots.values() if s.phase in (Phase.PREWARMED, Phase.STARTING) and s.spec == spec
            )
            free = self.limits.memory_mb - self.memory_mb()
            if ready < wanted and free >= spec.memory_mb:
                commands += self._start(spec)
        return commands

    def _memory_of(self, slot: Slot) -> int:
        return self.limits.prewarmed_mb if slot.phase is Phase.PREWARMED else slot.spec.memory_mb

    # -- the end --------------------------------------------------------------------------------------------------

    def _retire(self, slot: Slot, now: float) -> list[Command]:
        """Destroy a doomed container once nobody uses it (an STARTING one reports its own failure)."""
        if slot.active > 0 or slot.phase is Phase.STARTING:
            return self._rebalance(now)
        return [self._destroy(slot), *self._rebalance(now)]

    def _destroy(self, slot: Slot) -> Destroy:
        self._forget(slot.number)
        if slot.key is not None:
            self.costs.evicted(slot.value)
        return Destroy(slot.number)

    def _forget(self, number: int) -> Slot:
        slot = self.slots.pop(number)
        if slot.key is not None:
            mine = self._by_key[slot.key]
            mine.remove(slot)
            if not mine:
                del self._by_key[slot.key]
        return slot


_PREFERENCE = {Phase.BUSY: 2, Phase.WARM: 1, Phase.FROZEN: 0}


def _preference(slot: Slot) -> tuple[int, float]:
    return _PREFERENCE[slot.phase], slot.idle_since
