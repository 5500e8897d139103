from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.ids import NodeId
from upwhisk.common.messages import Demand
from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.loadbalancer.books import NodeBook
from upwhisk.loadbalancer.fleet import Fleet
from upwhisk.loadbalancer.homes import hash_of, java_hash, probe_order, steps
from upwhisk.loadbalancer.placement import POLICIES, Request, place

DEMAND = Demand(kind="python:3.11", memory_mb=256, timeout_ms=1000)
REQUEST = Request(("ns", "ns/a", "1"), DEMAND)
OTHER = ("other", "other/b", "1")


def fleet_of(*nodes: dict[str, Any]) -> Fleet:
    """Nodes of 1024 MB named by their numbers; `used`: MB of another namespace, in containers of 256."""
    fleet = Fleet()
    for number, given_ in enumerate(nodes):
        about = dict(given_)
        used, memory_mb = about.pop("used", 0), about.pop("memory_mb", 1024)
        book = NodeBook(str(number), memory_mb, share=1.0)
        report = NodeReport(node=NodeId(str(number)), memory_mb=memory_mb, cores=2, **about)
        fleet.put(report, book, report.state, report.reason)
        for _ in range(used // 256):
            assert book.take(OTHER, DEMAND) is not None
    return fleet


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_places_on_a_node_that_takes_it(policy: str) -> None:
    fleet = fleet_of(
        {"state": NodeState.OFFLINE, "reason": "no heartbeat"}, {"used": 1024}, {"kinds": ("nodejs:20",)}, {"used": 512}
    )
    decision = place(fleet, REQUEST, policy)
    assert (decision.node, decision.policy, decision.considered) == ("3", policy, 4)
    assert decision.refused == {
        "0": "down: no heartbeat",
        "1": "no permit free",
        "2": "has no runtime for python:3.11",
    }
    assert decision.counts == {"down": 1, "no permit free": 1, "has no runtime for python:3.11": 1}


@pytest.mark.parametrize("state", [state for state in NodeState if state is not NodeState.HEALTHY])
def test_states_other_than_up_take_nothing_and_say_why(state: NodeState) -> None:
    for fleet in (fleet_of({"state": state, "reason": "so it is"}), fleet_of({"state": state}, {"used": 1024})):
        decision = place(fleet, REQUEST, "warm")
        assert decision.node is None
        assert decision.refused["0"] == (f"{state.value}: so it is" if len(fleet.nodes) == 1 else state.value)
        assert decision.counts[state.value] == 1


def test_one_node_alone() -> None:
    assert place(fleet_of({}), REQUEST, "hash").node == "0"
    assert place(fleet_of({"warm": (REQUEST.warm_key,)}), REQUEST, "warm").warm
    assert place(fleet_of({"used": 1024}), REQUEST, "warm").refused == {"0": "no permit free"}
    assert place(fleet_of({"kinds": ("x",)}), REQUEST, "warm").counts == {"has no runtime for python:3.11": 1}
    assert place(Fleet(), REQUEST, "warm").considered == 0


def test_reasons_are_bounded_but_counted() -> None:
    decision = place(fleet_of(*[{"used": 1024}] * 50), REQUEST, "warm")
    assert decision.node is None
    assert len(decision.refused) == 20
    assert decision.counts == {"no permit free": 50}


def test_every_reason_has_its_part_of_the_names() -> None:
    down = {"state": NodeState.OFFLINE, "reason": "gone"}
    decision = place(fleet_of(*[down] * 40, *[{"used": 1024}] * 40, *[{"kinds": ("x",)}] * 2), REQUEST, "spread")
    reasons = list(decision.refused.values())
    assert [reasons.count(reason) for reason in dict.fromkeys(reasons)] == [2, 9, 9]
    assert decision.counts == {"down": 40, "no permit free": 40, "has no runtime for python:3.11": 2}


def test_spread_and_binpack() -> None:
    fleet = fleet_of({"used": 256}, {"used": 512}, {})
    assert place(fleet, REQUEST, "spread").node == "2"
    assert place(fleet, REQUEST, "binpack").node == "1"


def test_random_reaches_every_node_that_takes_it() -> None:
    fleet = fleet_of({}, {"used": 1024}, {"used": 256}, {})
    assert {place(fleet, REQUEST, "random", draw=draw).node for draw in range(6)} == {"0", "2", "3"}
    assert {place(fleet, REQUEST, "random").node for _ in range(200)} == {"0", "2", "3"}


def test_warm_first() -> None:
    decision = place(fleet_of({}, {"used": 512, "warm": (REQUEST.warm_key,)}, {}), REQUEST, "warm")
    assert decision.node == "1"
    assert decision.warm


def test_a_container_with_a_slot_left_is_used_first() -> None:
    fleet = fleet_of({}, {}, {"used": 512})
    request = Request(REQUEST.key, Demand(kind="python:3.11", memory_mb=256, timeout_ms=1000, concurrency=3))
    held = [fleet.by_id["2"].book.take(request.key, request.demand)]
    for policy in ("random", "spread", "binpack", "warm"):
        assert (place(fleet, request, policy).node, place(fleet, request, policy).warm) == ("2", True)
    held += [fleet.by_id["2"].book.take(request.key, request.demand) for _ in range(2)]
    assert place(fleet, request, "spread").node == "0"


def test_hash_is_stable_and_warm_avoids_the_loaded_home() -> None:
    fleet = fleet_of(*[{}] * 5)
    home = place(fleet, REQUEST, "hash").node
    assert home == place(fleet, REQUEST, "hash").node == place(fleet, REQUEST, "warm").node
    loaded = fleet_of(*[{"used": 512 if str(number) == home else 0} for number in range(5)])
    assert place(loaded, REQUEST, "hash").node == home
    assert place(loaded, REQUEST, "warm").node != home


def test_the_home_of_hash_stays_where_it_is_when_others_fail() -> None:
    """Homes are counted over all nodes, not over those that take work."""
    home = place(fleet_of(*[{}] * 7), REQUEST, "hash").node
    for failed in range(7):
        nodes = [{"state": NodeState.OFFLINE} if number == failed else {} for number in range(7)]
        if str(failed) != home:
            assert place(fleet_of(*nodes), REQUEST, "hash").node == home


def test_an_action_that_fills_its_prefix_goes_back_to_what_is_free_again() -> None:
    fleet = fleet_of(*[{"memory_mb": 512}] * 200)
    taken = []
    for _ in range(120):
        node = place(fleet, REQUEST, "hash").node
        assert node is not None
        taken.append((node, fleet.by_id[node].book.take(REQUEST.key, DEMAND)))
    assert [node for node, _ in taken[::2]] == [node for node, _ in taken[1::2]], "two on each, node after node"
    for node, permit in taken[20::20]:
        assert permit is not None
        permit.release()
        assert place(fleet, REQUEST, "hash").node == node
        permit = fleet.by_id[node].book.take(REQUEST.key, DEMAND)
    assert fleet.trails


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_probing_reaches_every_node_once(hash_: int, count: int) -> None:
    assert sorted(probe_order(hash_, count)) == list(range(count))


def test_steps_are_openwhisks() -> None:
    assert steps(10) == (1, 3, 7)
    assert steps(1) == (1,)
    assert steps(12) == (1, 5, 7, 11)


def test_hashes_are_javas() -> None:
    assert java_hash("") == 0
    assert java_hash("hello") == 99162322
    assert java_hash("polygenelubricants") == -(2**31)
    assert java_hash("é😀") == ((233 * 31 + 0xD83D) * 31 + 0xDE00) % 2**32
    assert hash_of("hello", "") == 99162322
