from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.ids import NodeId
from upwhisk.common.messages import Demand
from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.loadbalancer.books import NodeBook
from upwhisk.loadbalancer.homes import probe_order, steps
from upwhisk.loadbalancer.placement import POLICIES, Node, Request, place

REQUEST = Request(("ns", "ns/a", "1"), Demand(kind="python:3.11", memory_mb=256, timeout_ms=1000))


def node(name: str, used: int = 0, **report: object) -> Node:
    book = NodeBook(name, 1024, share=1.0)
    book.used_mb = used
    return Node(NodeReport(node=NodeId(name), memory_mb=1024, cores=2, **report), book)  # type: ignore[arg-type]


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_every_policy_places_on_a_feasible_node(policy: str) -> None:
    nodes = [
        node("0", state=NodeState.OFFLINE, reason="no heartbeat"),
        node("1", used=1024),
        node("2", kinds=("nodejs:20",)),
        node("3", used=512),
    ]
    decision = place(nodes, REQUEST, policy)
    assert decision.node == "3"
    assert decision.refused == {
        "0": "down: no heartbeat",
        "1": "no permit free",
        "2": "has no runtime for python:3.11",
    }


def test_reasons_are_bounded_but_counted() -> None:
    decision = place([node(str(i), used=1024) for i in range(50)], REQUEST, "warm")
    assert decision.node is None
    assert len(decision.refused) == 20
    assert decision.counts == {"no permit free": 50}


def test_spread_and_binpack() -> None:
    nodes = [node("0", used=256), node("1", used=512), node("2")]
    assert place(nodes, REQUEST, "spread").node == "2"
    assert place(nodes, REQUEST, "binpack").node == "1"


def test_warm_first() -> None:
    nodes = [node("0"), node("1", used=512, warm=(REQUEST.warm_key,)), node("2")]
    decision = place(nodes, REQUEST, "warm")
    assert decision.node == "1"
    assert decision.warm


def test_hash_is_stable_and_warm_avoids_the_loaded_home() -> None:
    nodes = [node(str(i)) for i in range(5)]
    home = place(nodes, REQUEST, "hash").node
    assert home == place(nodes, REQUEST, "hash").node == place(nodes, REQUEST, "warm").node
    loaded = [node(str(i), used=512 if str(i) == home else 0) for i in range(5)]
    assert place(loaded, REQUEST, "warm").node != home


@given(st.integers(0, 2**32), st.integers(1, 200))
def test_probing_reaches_every_node_once(hash_: int, count: int) -> None:
    assert sorted(probe_order(hash_, count)) == list(range(count))


def test_steps_are_openwhisks() -> None:
    assert steps(10) == (1, 3, 7)
