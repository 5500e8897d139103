"""The containers of a node and the requests that wait, with the questions that decisions ask of them. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from upwhisk.common.spi.containers import ContainerSpec
from upwhisk.invoker.pool.policy import eviction_order
from upwhisk.invoker.pool.slots import IDLE, Phase, Slot, Want, WarmKey, fits


class Inventory:
    """`memory_mb`: the cap for all containers; `prewarmed_mb`: what one counts as that nobody uses yet."""

    def __init__(self, memory_mb: int, prewarmed_mb: int) -> None:
        self.slots: dict[int, Slot] = {}
        self.waiting: dict[WarmKey, OrderedDict[int, Want]] = {}
        self._cap_mb = memory_mb
        self._prewarmed_mb = prewarmed_mb
        self._by_key: dict[WarmKey, list[Slot]] = {}
        self._numbers = 0

    # -- containers -----------------------------------------------------------------------------------------------

    def add(self, spec: ContainerSpec, now: float) -> Slot:
        self._numbers += 1
        slot = self.slots[self._numbers] = Slot(self._numbers, spec, now)
        return slot

    def remove(self, number: int) -> Slot:
        slot = self.slots.pop(number)
        if slot.key is not None:
            mine = self._by_key[slot.key]
            mine.remove(slot)
            if not mine:
                del self._by_key[slot.key]
        return slot

    def claim(self, slot: Slot, want: Want) -> None:
        """Give a container that nobody has used yet to the owner of `want`, for good."""
        slot.key = want.key
        slot.spec = want.spec
        self._by_key.setdefault(want.key, []).append(slot)

    def of(self, key: WarmKey) -> list[Slot]:
        return self._by_key.get(key, [])

    def keys(self) -> set[WarmKey]:
        return set(self._by_key)

    def count(self, phase: Phase) -> int:
        return sum(1 for slot in self.slots.values() if slot.phase is phase)

    def starting_for(self, spec: ContainerSpec) -> int:
        return sum(1 for s in self.slots.values() if s.phase is Phase.STARTING and fits(spec, s.spec))

    def ready_for(self, spec: ContainerSpec) -> list[Slot]:
        """Prewarmed containers that serve a request for `spec`."""
        return [s for s in self.slots.values() if s.phase is Phase.PREWARMED and fits(spec, s.spec)]

    def free_slot(self, key: WarmKey) -> Slot | None:
        """A busy container of `key` with room, else the idle one used last, else a frozen one."""
        idle = frozen = None
        for slot in self._by_key.get(key, ()):
            if slot.active >= slot.capacity or slot.fresh or slot.doomed:
                continue
            phase = slot.phase
            if phase is Phase.BUSY:
                return slot
            if phase is Phase.WARM:
                if idle is None or slot.idle_since > idle.idle_since:
                    idle = slot
            elif phase is Phase.FROZEN:
                frozen = slot
        return idle or frozen

    # -- memory ---------------------------------------------------------------------------------------------------

    def memory_mb(self) -> int:
        return sum(self.memory_of(slot) for slot in self.slots.values())

    def memory_of(self, slot: Slot) -> int:
        return self._prewarmed_mb if slot.phase is Phase.PREWARMED else slot.spec.memory_mb

    @property
    def free_mb(self) -> int:
        return self._cap_mb - self.memory_mb()

    def victims(self, needed_mb: int, sparing: Slot | None = None) -> list[Slot] | None:
        """Which idle containers have to go so that `needed_mb` fit; None if that is not enough."""
        free = self.free_mb
        victims: list[Slot] = []
        if free < needed_mb:
            idle = (s for s in self.slots.values() if s.phase in IDLE or s.phase is Phase.PREWARMED)
            for slot in eviction_order(s for s in idle if s is not sparing):
                victims.append(slot)
                free += self.memory_of(slot)
                if free >= needed_mb:
                    break
        return victims if free >= needed_mb else None

    # -- requests -------------------------------------------------------------------------------------------------

    def enqueue(self, want: Want) -> None:
        """By age: one that waits again takes its old place."""
        queue = self.waiting.setdefault(want.key, OrderedDict())
        younger = bool(queue) and next(reversed(queue.values())).since > want.since
        queue[want.ticket] = want
        if younger:
            for other in sorted(queue.values(), key=lambda w: w.since):
                queue.move_to_end(other.ticket)

    def dequeue(self, ticket: int, key: WarmKey) -> None:
        queue = self.waiting.get(key)
        if queue is not None:
            queue.pop(ticket, None)
            if not queue:
                del self.waiting[key]

    def head(self, key: WarmKey) -> Want | None:
        queue = self.waiting.get(key)
        return next(iter(queue.values())) if queue else None

    def rivals_of(self, want: Want) -> int:
        """Requests of other keys that would take the containers that `want` could take."""
        queues = (q for key, q in self.waiting.items() if key != want.key)
        return sum(len(q) for q in queues if fits(next(iter(q.values())).spec, want.spec))

    def heads_for(self, spec: ContainerSpec) -> Iterator[Want]:
        """The oldest request of each key that a container of `spec` can serve, the oldest of all first."""
        heads = (next(iter(queue.values())) for queue in self.waiting.values())
        return iter(sorted((w for w in heads if fits(w.spec, spec)), key=lambda w: w.since))
