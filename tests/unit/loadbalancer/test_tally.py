"""When a controller stops trusting a node, and when it trusts it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.loadbalancer.tally import RETRY_S, Outcome, Tally

OK, ERROR, LATE = Outcome.OK, Outcome.PLATFORM_ERROR, Outcome.TIMEOUT


def told(*outcomes: Outcome, now: float = 0.0) -> Tally:
    tally = Tally()
    for outcome in outcomes:
        tally.record(outcome, now)
    return tally


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([ERROR] * 3, None),
        ([ERROR] * 4, NodeState.UNHEALTHY),
        ([LATE] * 3 + [ERROR] * 3, None),
        ([LATE] * 4, NodeState.UNRESPONSIVE),
        ([ERROR] * 3 + [OK] * 8 + [ERROR] * 2, None),
        ([ERROR, OK, ERROR, OK, ERROR, OK, OK, ERROR], NodeState.UNHEALTHY),
    ],
)
def test_more_than_three_of_the_last_ten(outcomes: list[Outcome], state: NodeState | None) -> None:
    assert told(*outcomes).state is state


def test_the_reason_says_how_many() -> None:
    assert told(OK, ERROR, ERROR, ERROR, ERROR).reason == "4 of its last 5 activations ended with platform errors"
    assert told(*[LATE] * 4).reason == "4 of its last 4 activations did not end in time"


def test_one_activation_tries_it_and_its_success_heals() -> None:
    tally = told(*[ERROR] * 4, now=100.0)
    assert not tally.is_open(100.0 + RETRY_S - 1)
    assert tally.is_open(100.0 + RETRY_S)
    tally.tried(131.0)
    assert not tally.is_open(131.0)
    assert tally.record(OK, 132.0)
    assert tally.state is None
    assert not tally.record(ERROR, 133.0), "what was before is forgotten"


@pytest.mark.parametrize("failure", [ERROR, LATE])
def test_its_failure_has_it_wait_again(failure: Outcome) -> None:
    tally = told(*[ERROR] * 4)
    tally.tried(30.0)
    assert tally.record(failure, 40.0)
    assert tally.state is NodeState.UNHEALTHY
    assert not tally.is_open(69.0)
    assert tally.is_open(70.0)


def test_a_try_of_which_nothing_is_heard_is_followed_by_another() -> None:
    tally = told(*[ERROR] * 4)
    tally.tried(30.0)
    assert tally.is_open(30.0 + RETRY_S)


def test_successes_of_work_that_was_under_way_heal_as_they_outweigh() -> None:
    tally = told(*[ERROR] * 4)
    healed = [tally.record(OK, 1.0) for _ in range(7)]
    assert healed == [False] * 6 + [True]


def test_its_own_judgement_counts_before_the_nodes_word_but_not_before_its_absence() -> None:
    tally = told(*[ERROR] * 4)
    report = NodeReport(node=NodeId("0"), memory_mb=1, cores=1)
    assert tally.standing(report, 1.0)[0] is NodeState.UNHEALTHY
    assert tally.standing(report, RETRY_S) == (NodeState.HEALTHY, "")
    gone = NodeReport(node=NodeId("0"), memory_mb=1, cores=1, state=NodeState.OFFLINE, reason="no heartbeat")
    assert tally.standing(gone, 1.0) == (NodeState.OFFLINE, "no heartbeat")


@given(st.lists(st.sampled_from(Outcome), max_size=40))
def test_trust_follows_the_last_ten(outcomes: list[Outcome]) -> None:
    """Without tries, a node is distrusted from the outcome on that makes it so, until a success finds it otherwise."""
    tally, since, distrusted = Tally(), 0, False
    for number, outcome in enumerate(outcomes, 1):
        tally.record(outcome, 0.0)
        last = outcomes[since:number][-10:]
        bad = last.count(ERROR) > 3 or last.count(LATE) > 3
        if not distrusted:
            distrusted = bad
        elif outcome is OK and not bad:
            distrusted, since = False, number
        assert (tally.state is not None) == distrusted
