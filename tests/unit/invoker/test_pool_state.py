"""The pool's state machine: examples, and a property that drives it with random events."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from upwhisk.common.spi.containers import ContainerSpec
from upwhisk.invoker.pool.slots import (
    Command,
    Destroy,
    Freeze,
    Grant,
    Phase,
    Refuse,
    Start,
    Thaw,
    Want,
    WarmKey,
)
from upwhisk.invoker.pool.state import PoolLimits, PoolState

PY = ContainerSpec("python:3.11", 256)
K1, K2 = WarmKey("ns", "ns/a", "1"), WarmKey("other", "ns/a", "1")


def state(memory_mb: int = 1024, **limits: object) -> PoolState:
    return PoolState(PoolLimits(memory_mb, **limits))  # type: ignore[arg-type]


def want(ticket: int, key: WarmKey = K1, at: float = 0.0, concurrency: int = 1) -> Want:
    return Want(ticket, key, PY, concurrency, at)


def test_cold_then_warm() -> None:
    pool = state()
    assert pool.wanted(want(1)) == [Start(1, PY)]
    assert pool.started(1, 0.1) == [Grant(1, 1, "cold")]
    assert pool.initialised(1, 1, 0.02, 0.2) == []
    assert pool.released(1, keep=True, ran_s=0.01, now=0.3) == []
    assert pool.wanted(want(2, at=0.4)) == [Grant(2, 1, "warm")]


def test_never_shared_between_namespaces() -> None:
    pool = state()
    pool.wanted(want(1))
    pool.started(1, 0.1)
    pool.initialised(1, 1, 0.02, 0.2)
    pool.released(1, keep=True, ran_s=0.01, now=0.3)
    assert pool.wanted(want(2, K2, 0.4)) == [Start(2, PY)]


def test_prewarmed_are_claimed_and_refilled() -> None:
    pool = state(prewarm={PY: 1})
    assert pool.ticked(0.0) == [Start(1, PY)]
    assert pool.started(1, 0.1) == []
    assert pool.wanted(want(1, at=0.2)) == [Grant(1, 1, "prewarmed")]
    assert pool.ticked(0.3) == [Start(2, PY)]


def test_a_request_is_not_bound_to_the_start_it_caused() -> None:
    pool = state()
    pool.wanted(want(1))
    pool.started(1, 0.1)
    pool.initialised(1, 1, 0.02, 0.2)
    assert pool.wanted(want(2, at=0.2)) == [Start(2, PY)]
    assert pool.released(1, keep=True, ran_s=0.5, now=0.3) == [Grant(2, 1, "warm")]
    assert pool.started(2, 0.4) == []
    assert pool.count(Phase.PREWARMED) == 1


def test_short_runs_are_waited_for() -> None:
    pool = state()
    pool.wanted(want(1))
    pool.started(1, 0.1)
    pool.initialised(1, 1, 0.05, 0.2)
    pool.released(1, keep=True, ran_s=0.0001, now=0.3)
    assert pool.wanted(want(2, at=0.4)) == [Grant(2, 1, "warm")]
    assert pool.wanted(want(3, at=0.4)) == []
    assert pool.ticked(0.41) == [], "the guess still holds"
    assert pool.ticked(0.5) == [Start(2, PY)], "the guess was wrong"


def test_idle_ones_make_room_for_others() -> None:
    pool = state(256)
    pool.wanted(want(1))
    pool.started(1, 0.1)
    pool.initialised(1, 1, 0.02, 0.2)
    pool.released(1, keep=True, ran_s=0.01, now=0.3)
    assert pool.wanted(want(2, K2, 0.4)) == [Destroy(1), Start(2, PY)]


def test_freeze_and_thaw() -> None:
    pool = state()
    pool.wanted(want(1))
    pool.started(1, 0.1)
    pool.initialised(1, 1, 0.02, 0.2)
    pool.released(1, keep=True, ran_s=0.01, now=0.3)
    assert pool.ticked(20.0) == [Freeze(1)]
    assert pool.frozen(1) == []
    assert pool.wanted(want(2, at=30.0)) == [Thaw(1)]
    assert pool.thawed(1, 30.1) == [Grant(2, 1, "warm")]
    pool.released(1, keep=True, ran_s=0.01, now=31.0)
    assert pool.ticked(700.0) == [Destroy(1)]


def test_a_wish_during_freezing_is_not_forgotten() -> None:
    pool = state()
    pool.wanted(want(1))
    pool.started(1, 0.1)
    pool.initialised(1, 1, 0.02, 0.2)
    pool.released(1, keep=True, ran_s=0.01, now=0.3)
    pool.ticked(20.0)
    pool.wanted(want(2, at=20.1))
    assert pool.frozen(1) == [Thaw(1)]


def test_after_a_timeout_the_others_finish_first() -> None:
    pool = state()
    pool.wanted(want(1, concurrency=3))
    pool.started(1, 0.1)
    pool.initialised(1, 3, 0.02, 0.2)
    assert pool.wanted(want(2, at=0.3, concurrency=3)) == [Grant(2, 1, "warm")]
    assert pool.released(1, keep=False, ran_s=1.0, now=1.0) == []
    assert pool.wanted(want(3, at=1.1, concurrency=3)) == [Start(2, PY)]
    assert Destroy(1) in pool.released(1, keep=True, ran_s=1.0, now=1.2)


def test_a_failed_start_is_told() -> None:
    pool = state()
    pool.wanted(want(1))
    assert pool.start_failed(1, "no space", 0.1) == [Refuse(1, "no space")]
    assert not pool.slots


def test_a_missing_image_is_named() -> None:
    pool = state()
    pool.wanted(want(1))
    assert pool.start_failed(1, "gone", 0.1, missing="me/mine") == [Refuse(1, "gone", "me/mine")]


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens: memory stays below the cap, nothing is granted twice, every wish is answered in the end."""

    @initialize()
    def begin(self) -> None:
        self.pool = PoolState(PoolLimits(1024, prewarm={PY: 1}, starts_at_once=2))
        self.now = 0.0
        self.tickets = 0
        self.starting: set[int] = set()
        self.freezing: set[int] = set()
        self.thawing: set[int] = set()
        self.granted: dict[int, Grant] = {}
        self.owner: dict[int, WarmKey] = {}
        self.keys: dict[int, WarmKey] = {}
        self.fresh: dict[int, int] = {}

    def carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Start(slot, _):
                    self.starting.add(slot)
                case Grant(ticket, slot, start):
                    assert ticket not in self.granted
                    assert self.owner.setdefault(slot, self.keys[ticket]) == self.keys[ticket]
                    self.granted[ticket] = command
                    if start != "warm":
                        self.fresh[slot] = ticket
                case Freeze(slot):
                    self.freezing.add(slot)
                case Thaw(slot):
                    self.thawing.add(slot)
                case Destroy(slot):
                    assert all(g.slot != slot for g in self.granted.values())
                case Refuse(ticket, _):
                    del self.keys[ticket]

    @rule(key=st.sampled_from([K1, K2]), concurrency=st.sampled_from([1, 3]))
    def wish(self, key: WarmKey, concurrency: int) -> None:
        self.tickets += 1
        self.keys[self.tickets] = key
        self.carry_out(self.pool.wanted(want(self.tickets, key, self.now, concurrency)))

    @precondition(lambda self: self.starting)
    @rule(fails=st.booleans())
    def end_of_start(self, fails: bool) -> None:
        slot = self.starting.pop()
        if slot in self.pool.slots:
            self.carry_out(self.pool.start_failed(slot, "x", self.now) if fails else self.pool.started(slot, self.now))

    @precondition(lambda self: self.granted)
    @rule(data=st.data(), keep=st.booleans())
    def end_of_run(self, data: st.DataObject, keep: bool) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.granted)))
        grant = self.granted.pop(ticket)
        if self.fresh.get(grant.slot) == ticket:
            del self.fresh[grant.slot]
            if keep:
                self.carry_out(self.pool.initialised(grant.slot, 2, 0.02, self.now))
        del self.keys[ticket]
        self.carry_out(self.pool.released(grant.slot, keep=keep, ran_s=0.1, now=self.now))

    @precondition(lambda self: self.freezing)
    @rule()
    def end_of_freeze(self) -> None:
        self.carry_out(self.pool.frozen(self.freezing.pop()))

    @precondition(lambda self: self.thawing)
    @rule()
    def end_of_thaw(self) -> None:
        self.carry_out(self.pool.thawed(self.thawing.pop(), self.now))

    @precondition(lambda self: self.pool.slots)
    @rule(data=st.data())
    def death(self, data: st.DataObject) -> None:
        slot = data.draw(st.sampled_from(sorted(self.pool.slots)))
        if slot not in self.starting:
            self.carry_out(self.pool.died(slot, self.now))

    @rule(seconds=st.sampled_from([0.01, 1.0, 11.0, 700.0]))
    def time(self, seconds: float) -> None:
        self.now += seconds
        self.carry_out(self.pool.ticked(self.now))

    @invariant()
    def bounded(self) -> None:
        if hasattr(self, "pool"):
            assert self.pool.memory_mb() <= 1024

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        for _ in range(200):
            for name in ("starting", "freezing", "thawing"):
                while getattr(self, name):
                    slot = getattr(self, name).pop()
                    if name == "starting" and slot in self.pool.slots:
                        self.carry_out(self.pool.started(slot, self.now))
                    elif name == "freezing":
                        self.carry_out(self.pool.frozen(slot))
                    elif name == "thawing":
                        self.carry_out(self.pool.thawed(slot, self.now))
            for ticket in sorted(self.granted):
                grant = self.granted.pop(ticket)
                del self.keys[ticket]
                self.carry_out(self.pool.initialised(grant.slot, 1, 0.02, self.now))
                self.carry_out(self.pool.released(grant.slot, keep=True, ran_s=0.01, now=self.now))
            self.now += 1.0
            self.carry_out(self.pool.ticked(self.now))
            if not self.keys and not self.pool.waiting:
                return
        raise AssertionError(f"never answered: {self.keys}")


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
