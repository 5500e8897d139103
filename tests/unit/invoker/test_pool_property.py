"""The pool's state machine under random events, in any order."""

from __future__ import annotations

import copy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.common.spi.containers import ContainerSpec
from upwhisk.invoker.pool.slots import (
    Command,
    Destroy,
    Freeze,
    Grant,
    Phase,
    PoolLimits,
    Refuse,
    Start,
    Thaw,
    Want,
    WarmKey,
)
from upwhisk.invoker.pool.state import PoolState

CAP_MB = 1024
PY = ContainerSpec("python:3.11", 256)
KEYS = [WarmKey(namespace, "ns/a", "1") for namespace in ("ns", "other")] + [WarmKey("ns", "ns/node", "1")]
SPECS = [PY, ContainerSpec("python:3.11", 512), ContainerSpec("nodejs:20", 128)]
BROKEN = ContainerCreateFailed("x")
UNDER_WAY = (Phase.STARTING, Phase.BUSY, Phase.FREEZING, Phase.THAWING)


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens: memory stays below the cap, nothing is granted twice or to another, nobody waits while nothing
    is done about it, and every wish is answered in the end."""

    @initialize()
    def begin(self) -> None:
        self.pool = PoolState(PoolLimits(CAP_MB, prewarm={PY: 1}, starts_at_once=2))
        self.now = 0.0
        self.wishes: dict[int, Want] = {}
        """Asked and not answered."""
        self.granted: dict[int, tuple[Want, int]] = {}
        """In use, by ticket: whose, and the slot."""
        self.owner: dict[int, WarmKey] = {}
        self.fresh: set[int] = set()
        """Tickets that have to initialise their container."""
        self.steps: dict[str, set[int]] = {"start": set(), "freeze": set(), "thaw": set()}
        self.tickets = 0

    def carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Start(slot, _):
                    self.steps["start"].add(slot)
                case Grant(ticket, slot, start):
                    want = self.wishes.pop(ticket)
                    assert self.owner.setdefault(slot, want.key) == want.key
                    assert (start == "warm") == (slot in self.used()), "initialised once, by the first"
                    self.granted[ticket] = want, slot
                    if start != "warm":
                        self.fresh.add(ticket)
                case Freeze(slot):
                    self.steps["freeze"].add(slot)
                case Thaw(slot):
                    self.steps["thaw"].add(slot)
                case Destroy(slot):
                    assert all(held != slot for _, held in self.granted.values())
                case Refuse(ticket, _):
                    del self.wishes[ticket]

    def used(self) -> set[int]:
        return {number for number, slot in self.pool.slots.items() if not slot.fresh}

    @rule(which=st.sampled_from(range(3)), concurrency=st.sampled_from([1, 3]))
    def wish(self, which: int, concurrency: int) -> None:
        self.tickets += 1
        want = Want(self.tickets, KEYS[which], SPECS[which], concurrency, self.now)
        self.wishes[want.ticket] = want
        self.carry_out(self.pool.wanted(want))

    @precondition(lambda self: self.wishes)
    @rule(data=st.data())
    def give_up_waiting(self, data: st.DataObject) -> None:
        want = self.wishes.pop(data.draw(st.sampled_from(sorted(self.wishes))))
        self.pool.cancelled(want.ticket, want.key)

    @precondition(lambda self: self.steps["start"])
    @rule(data=st.data(), fails=st.booleans(), again=st.booleans())
    def end_of_start(self, data: st.DataObject, fails: bool, again: bool) -> None:
        slot = self.drawn(data, "start")
        if fails:
            self.carry_out(self.pool.start_failed(slot, BROKEN, self.now, again=again))
        else:
            self.carry_out(self.pool.started(slot, self.now))

    @precondition(lambda self: self.granted)
    @rule(data=st.data(), keep=st.booleans(), initialises=st.booleans())
    def end_of_run(self, data: st.DataObject, keep: bool, initialises: bool) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.granted)))
        want, slot = self.granted[ticket]
        if ticket in self.fresh and initialises:
            self.carry_out(self.pool.initialised(slot, want.concurrency, 0.02, self.now))
        self.release(ticket, keep=keep)

    def release(self, ticket: int, *, keep: bool) -> None:
        self.fresh.discard(ticket)
        _, slot = self.granted.pop(ticket)
        self.carry_out(self.pool.released(slot, keep=keep, ran_s=0.1, now=self.now))

    @precondition(lambda self: self.fresh)
    @rule(data=st.data())
    def does_not_fit(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.fresh)))
        self.fresh.discard(ticket)
        want, slot = self.granted.pop(ticket)
        self.wishes[ticket] = want
        self.carry_out(self.pool.unfit(slot, want, BROKEN, self.now))

    @precondition(lambda self: self.steps["freeze"])
    @rule(data=st.data())
    def end_of_freeze(self, data: st.DataObject) -> None:
        self.carry_out(self.pool.frozen(self.drawn(data, "freeze")))

    @precondition(lambda self: self.steps["thaw"])
    @rule(data=st.data())
    def end_of_thaw(self, data: st.DataObject) -> None:
        self.carry_out(self.pool.thawed(self.drawn(data, "thaw"), self.now))

    def drawn(self, data: st.DataObject, step: str) -> int:
        slot = data.draw(st.sampled_from(sorted(self.steps[step])))
        self.steps[step].discard(slot)
        return slot

    @precondition(lambda self: self.pool.slots)
    @rule(data=st.data())
    def death(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.pool.slots)))
        if slot not in self.steps["start"]:
            self.carry_out(self.pool.died(slot, self.now))

    @rule(seconds=st.sampled_from([0.01, 1.0, 11.0, 700.0]))
    def time(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.pool.ticked(self.now))

    @invariant()
    def bounded(self) -> None:
        if hasattr(self, "pool"):
            assert self.pool.memory_mb() <= CAP_MB
            assert self.pool.count(Phase.STARTING) <= 2

    @invariant()
    def nobody_is_forgotten(self) -> None:
        if hasattr(self, "pool"):
            assert self.pool.waiting == len(self.wishes)

    @invariant()
    def something_is_done_for_those_who_wait(self) -> None:
        """Either something under way will be reported, or time alone brings a container."""
        if not hasattr(self, "pool") or not self.wishes:
            return
        if any(slot.phase in UNDER_WAY for slot in self.pool.slots.values()):
            assert all(self.will_be_reported(slot) for slot in self.pool.slots)
            return
        later = copy.deepcopy(self.pool).ticked(self.now + 2.0)
        assert any(isinstance(command, Start | Grant | Thaw) for command in later)

    def will_be_reported(self, number: int) -> bool:
        match self.pool.slots[number].phase:
            case Phase.STARTING:
                return number in self.steps["start"]
            case Phase.BUSY:
                return any(slot == number for _, slot in self.granted.values())
            case Phase.FREEZING:
                return number in self.steps["freeze"]
            case Phase.THAWING:
                return number in self.steps["thaw"]
        return True

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        for _ in range(200):
            if not self.wishes and not self.granted:
                assert not self.pool.waiting
                return
            self.let_all_end()
        raise AssertionError(f"never answered: {self.wishes}")

    def let_all_end(self) -> None:
        for slot in sorted(self.steps["start"]):
            self.carry_out(self.pool.started(slot, self.now))
        for slot in sorted(self.steps["freeze"]):
            self.carry_out(self.pool.frozen(slot))
        for slot in sorted(self.steps["thaw"]):
            self.carry_out(self.pool.thawed(slot, self.now))
        for slots in self.steps.values():
            slots.intersection_update(n for n in self.pool.slots if not self.settled(n))
        for ticket, (want, slot) in sorted(self.granted.items()):
            if ticket in self.fresh:
                self.carry_out(self.pool.initialised(slot, want.concurrency, 0.02, self.now))
            self.release(ticket, keep=True)
        self.now += 1.0
        self.carry_out(self.pool.ticked(self.now))

    def settled(self, number: int) -> bool:
        return self.pool.slots[number].phase not in (Phase.STARTING, Phase.FREEZING, Phase.THAWING)


AnyOrder.TestCase.settings = settings(max_examples=300, stateful_step_count=50, deadline=None)
TestAnyOrder = AnyOrder.TestCase
