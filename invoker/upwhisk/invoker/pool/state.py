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
* Nobody else tries again: a request is refused when the third container that was made for it could not be had.
"""

from __future__ import annotations

from upwhisk.common.errors import ContainerError
from upwhisk.common.spi.containers import ContainerSpec
from upwhisk.invoker.pool.inventory import Inventory
from upwhisk.invoker.pool.policy import TRIES, Costs, Refills, worth_starting
from upwhisk.invoker.pool.slots import (
    IDLE,
    Command,
    Destroy,
    Freeze,
    Grant,
    Phase,
    PoolLimits,
    Refuse,
    Slot,
    Start,
    Thaw,
    Want,
    WarmKey,
)


class PoolState:
    """Mutated through its event methods only; each returns the commands to carry out, in order."""

    def __init__(self, limits: PoolLimits) -> None:
        self.limits = limits
        self.costs = Costs()
        self._held = Inventory(limits.memory_mb, limits.prewarmed_mb)
        self._refills = Refills()

    # -- requests -------------------------------------------------------------------------------------------------

    def wanted(self, want: Want) -> list[Command]:
        """Somebody needs a container."""
        slot = self._held.free_slot(want.key)
        if slot is not None and slot.phase is not Phase.FROZEN:
            return [_grant(want.ticket, slot, "warm")]
        self._held.enqueue(want)
        if slot is not None:
            slot.phase = Phase.THAWING
            return [Thaw(slot.number)]
        return self._supply(want.key, want.since)

    def cancelled(self, ticket: int, key: WarmKey) -> None:
        """The request was given up before it was granted."""
        self._held.dequeue(ticket, key)

    # -- starts ---------------------------------------------------------------------------------------------------

    def started(self, number: int, now: float) -> list[Command]:
        slot = self._held.slots[number]
        slot.phase = Phase.PREWARMED
        slot.idle_since = now
        self._refills.succeeded()
        for want in self._held.heads_for(slot.spec):
            commands = self._claimed(want, slot, "cold")
            if commands:
                return [*commands, *self._rebalance(now)]
        return self._rebalance(now)

    def start_failed(self, number: int, error: ContainerError, now: float, *, again: bool) -> list[Command]:
        """Charged to the oldest request it could have served; `again`: another try makes sense. Starts that were
        under way already when a request was last charged are not charged to it once more."""
        slot = self._held.remove(number)
        self._refills.failed(now)
        charged = (w for w in self._held.heads_for(slot.spec) if slot.began >= w.failed_at)
        want = next(charged, None)
        if want is None:
            return self._rebalance(now)
        return [*self._charge(want, error, now, again=again), *self._rebalance(now)]

    def unfit(self, number: int, want: Want, error: ContainerError, now: float) -> list[Command]:
        """The container granted to `want` cannot be made to fit it: it goes, and the request waits for another."""
        commands: list[Command] = []
        slot = self._held.slots.get(number)
        if slot is not None:
            slot.doomed = True
            slot.active -= 1
            commands.append(self._destroy(slot))
        self._held.enqueue(want)
        return [*commands, *self._charge(want, error, now, again=True), *self._rebalance(now)]

    def _charge(self, want: Want, error: ContainerError, now: float, *, again: bool) -> list[Command]:
        want.failures += 1
        want.failed_at = now
        if again and want.failures < TRIES:
            return []
        self._held.dequeue(want.ticket, want.key)
        return [Refuse(want.ticket, error)]

    # -- use ------------------------------------------------------------------------------------------------------

    def initialised(self, number: int, capacity: int, took_s: float, now: float) -> list[Command]:
        """The first activation of a container has initialised it for `capacity` activations at once."""
        slot = self._held.slots.get(number)
        if slot is None or slot.key is None:
            return []
        slot.fresh = False
        slot.capacity = max(1, capacity)
        self.costs.initialised(slot.key, took_s)
        return self._serve(slot, now)

    def released(self, number: int, *, keep: bool, ran_s: float, now: float) -> list[Command]:
        """One activation is done with the container; without `keep`, or if it was never initialised, nobody may use
        it again."""
        slot = self._held.slots.get(number)
        if slot is None or slot.key is None:
            return self._rebalance(now)
        slot.active -= 1
        slot.doomed = slot.doomed or not keep or slot.fresh
        if not slot.fresh:
            self.costs.ran(slot.key, ran_s)
        if slot.doomed:
            return self._retire(slot, now)
        if slot.active == 0:
            slot.phase = Phase.WARM
            slot.idle_since = now
            slot.value = self.costs.value(slot.key, slot.spec.memory_mb)
        return self._serve(slot, now) if self._held.waiting else []

    def died(self, number: int, now: float) -> list[Command]:
        """The container's process is gone. Its activations learn it from their own calls."""
        slot = self._held.slots.get(number)
        if slot is None or slot.phase is Phase.STARTING:  # its start reports the failure
            return []
        if slot.phase is Phase.PREWARMED:
            self._refills.failed(now)
        slot.doomed = True
        return self._retire(slot, now)

    def _retire(self, slot: Slot, now: float) -> list[Command]:
        """Destroy a doomed container once nobody uses it."""
        if slot.active > 0:
            return self._rebalance(now)
        return [self._destroy(slot), *self._rebalance(now)]

    # -- rest -----------------------------------------------------------------------------------------------------

    def frozen(self, number: int) -> list[Command]:
        slot = self._held.slots.get(number)
        if slot is None or slot.phase is not Phase.FREEZING:
            return []
        slot.phase = Phase.FROZEN
        if slot.key in self._held.waiting:
            slot.phase = Phase.THAWING
            return [Thaw(number)]
        return []

    def thawed(self, number: int, now: float) -> list[Command]:
        slot = self._held.slots.get(number)
        if slot is None or slot.phase is not Phase.THAWING:
            return []
        slot.phase = Phase.WARM
        slot.idle_since = now
        return self._serve(slot, now)

    def ticked(self, now: float) -> list[Command]:
        """Time passed: freeze and evict what idles, start what waits, refill what is held ready."""
        commands: list[Command] = []
        for slot in list(self._held.slots.values()):
            idle = now - slot.idle_since
            if slot.phase in IDLE and idle >= self.limits.evict_after_s:
                commands.append(self._destroy(slot))
            elif slot.phase is Phase.WARM and self.limits.can_freeze and idle >= self.limits.freeze_after_s:
                slot.phase = Phase.FREEZING
                commands.append(Freeze(slot.number))
        return commands + self._rebalance(now) + self._refill(now)

    # -- what others ask ------------------------------------------------------------------------------------------

    @property
    def slots(self) -> dict[int, Slot]:
        """By number; for looking at."""
        return self._held.slots

    @property
    def waiting(self) -> int:
        return sum(len(queue) for queue in self._held.waiting.values())

    def memory_mb(self) -> int:
        return self._held.memory_mb()

    def count(self, phase: Phase) -> int:
        return self._held.count(phase)

    def serves(self, key: WarmKey) -> bool:
        """Whether there is a container of this key."""
        return bool(self._held.of(key))

    def warm_keys(self) -> set[WarmKey]:
        return self._held.keys()

    # -- granting and supply --------------------------------------------------------------------------------------

    def _claimed(self, want: Want, slot: Slot, start: str) -> list[Command]:
        """Give a container that nobody has used to `want`, after what has to make room for it; nothing if it cannot."""
        victims = self._held.victims(want.spec.memory_mb - self._held.memory_of(slot), sparing=slot)
        if victims is None:
            return []
        commands: list[Command] = [self._destroy(one) for one in victims]
        self._held.dequeue(want.ticket, want.key)
        self._held.claim(slot, want)
        return [*commands, _grant(want.ticket, slot, start)]

    def _serve(self, slot: Slot, now: float) -> list[Command]:
        """Grant a container that has room to those who wait for its key."""
        commands: list[Command] = []
        assert slot.key is not None
        while slot.room > 0 and (want := self._held.head(slot.key)) is not None:
            self._held.dequeue(want.ticket, want.key)
            commands.append(_grant(want.ticket, slot, "warm"))
        return commands + self._rebalance(now)

    def _rebalance(self, now: float) -> list[Command]:
        commands: list[Command] = []
        for key in list(self._held.waiting):
            commands += self._supply(key, now)
        return commands

    def _supply(self, key: WarmKey, now: float) -> list[Command]:
        """Decide for those who wait for `key`: take a prewarmed container, start one, or wait for a busy one."""
        want = self._held.head(key)
        if want is None:
            return []
        mine = [slot for slot in self._held.of(key) if not slot.doomed]
        starting = max(0, self._held.starting_for(want.spec) - self._held.rivals_of(want))
        waiting = len(self._held.waiting[key])
        if not worth_starting(self.costs, want, mine, waiting=waiting, starting=starting, now=now):
            return []
        for ready in self._held.ready_for(want.spec):
            commands = self._claimed(want, ready, "prewarmed")
            if commands:
                return commands
        return self._start(want.spec, now)

    def _start(self, spec: ContainerSpec, now: float) -> list[Command]:
        if self.count(Phase.STARTING) >= self.limits.starts_at_once:
            return []
        victims = self._held.victims(spec.memory_mb)
        if victims is None:
            return []
        commands: list[Command] = [self._destroy(slot) for slot in victims]
        return [*commands, Start(self._held.add(spec, now).number, spec)]

    def _refill(self, now: float) -> list[Command]:
        commands: list[Command] = []
        if self._held.waiting or not self._refills.due(now):
            return commands
        for spec, wanted in self.limits.prewarm.items():
            ready = sum(1 for s in self.slots.values() if s.phase in _READY and s.spec == spec)
            if ready < wanted and self._held.free_mb >= spec.memory_mb:
                commands += self._start(spec, now)
        return commands

    def _destroy(self, slot: Slot) -> Destroy:
        self._held.remove(slot.number)
        if slot.key is not None:
            self.costs.evicted(slot.value)
        return Destroy(slot.number)


_READY = (Phase.PREWARMED, Phase.STARTING)


def _grant(ticket: int, slot: Slot, start: str) -> Grant:
    slot.phase = Phase.BUSY
    slot.active += 1
    return Grant(ticket, slot.number, start)
