"""The pool's state machine by examples; `test_pool_property.py` drives it with random events."""

from __future__ import annotations

from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.common.spi.containers import ContainerSpec
from upwhisk.invoker.pool.slots import (
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

NO_SPACE = ContainerCreateFailed("no space")
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
    assert pool.start_failed(1, NO_SPACE, 0.1, again=False) == [Refuse(1, NO_SPACE)]
    assert not pool.slots


def test_a_failed_start_is_tried_again_three_times_in_all() -> None:
    pool = state()
    pool.wanted(want(1))
    assert pool.start_failed(1, NO_SPACE, 0.1, again=True) == [Start(2, PY)]
    assert pool.start_failed(2, NO_SPACE, 0.2, again=True) == [Start(3, PY)]
    assert pool.start_failed(3, NO_SPACE, 0.3, again=True) == [Refuse(1, NO_SPACE)]


def test_one_death_of_a_zygote_is_one_failure() -> None:
    pool = state()
    for ticket in (1, 2, 3):
        pool.wanted(want(ticket, at=ticket / 10))
    assert pool.count(Phase.STARTING) == 3
    for slot in (1, 2, 3):  # all three fall together: each request is charged with one
        assert not any(isinstance(c, Refuse) for c in pool.start_failed(slot, NO_SPACE, 0.5, again=True))
    assert pool.waiting == 3


def test_a_container_that_does_not_fit_is_replaced() -> None:
    pool = state(prewarm={PY: 1})
    pool.ticked(0.0)
    pool.started(1, 0.1)
    larger = Want(1, K1, ContainerSpec("python:3.11", 512), 1, 0.2)
    assert pool.wanted(larger) == [Grant(1, 1, "prewarmed")]
    assert pool.unfit(1, larger, NO_SPACE, 0.3) == [Destroy(1), Start(2, larger.spec)]
    assert pool.started(2, 0.4) == [Grant(1, 2, "cold")]
    assert pool.unfit(2, larger, NO_SPACE, 0.5) == [Destroy(2), Start(3, larger.spec)]
    pool.started(3, 0.6)
    assert pool.unfit(3, larger, NO_SPACE, 0.7) == [Destroy(3), Refuse(1, NO_SPACE)]


def test_what_is_held_ready_is_not_made_again_and_again_in_vain() -> None:
    pool = state(prewarm={PY: 1})
    starts, now = 0, 0.0
    while now < 600.0:
        for command in pool.ticked(now):
            assert isinstance(command, Start)
            starts += 1
            pool.start_failed(command.slot, NO_SPACE, now, again=True)
        now += 0.25
    assert 10 <= starts <= 20
    assert pool.wanted(want(1, at=now)) == [Start(starts + 1, PY)], "who asks is not made to wait"


def test_a_claim_never_exceeds_the_memory() -> None:
    pool = state(512, prewarm={PY: 1})
    pool.ticked(0.0)
    pool.wanted(Want(1, K1, ContainerSpec("python:3.11", 512), 1, 0.1))
    assert pool.started(1, 0.2) == [Grant(1, 1, "cold")]
    assert pool.memory_mb() == 512
    assert pool.wanted(Want(2, K2, ContainerSpec("python:3.11", 128), 1, 0.3)) == []
    assert pool.released(1, keep=False, ran_s=0.0, now=0.4)[0] == Destroy(1)


def test_a_lease_that_was_given_back_unused_blocks_nobody() -> None:
    pool = state()
    pool.wanted(want(1))
    pool.started(1, 0.1)
    assert pool.released(1, keep=True, ran_s=0.0, now=0.2) == [Destroy(1)], "nobody has initialised it"
    assert pool.wanted(want(2, at=0.3)) == [Start(2, PY)]


def test_the_dead_are_granted_to_nobody() -> None:
    pool = state()
    pool.wanted(want(1, concurrency=3))
    pool.started(1, 0.1)
    pool.wanted(want(2, at=0.2, concurrency=3))
    pool.died(1, 0.3)
    assert not any(isinstance(c, Grant) for c in pool.initialised(1, 3, 0.1, 0.4))


def test_first_calls_of_different_actions_do_not_wait_for_one_another() -> None:
    pool = state()
    assert pool.wanted(want(1, K1)) == [Start(1, PY)]
    assert pool.wanted(want(2, K2, 0.01)) == [Start(2, PY)]


def test_a_burst_on_a_concurrent_action_starts_one_container() -> None:
    pool = state()
    assert pool.wanted(want(1, concurrency=10)) == [Start(1, PY)]
    assert all(pool.wanted(want(n, at=0.0, concurrency=10)) == [] for n in range(2, 11))
    assert pool.started(1, 0.1) == [Grant(1, 1, "cold")]
    assert len(pool.initialised(1, 10, 0.1, 0.2)) == 9
