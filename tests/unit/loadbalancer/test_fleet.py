"""The index decides what a look at every node decides, whatever happened before."""

from __future__ import annotations

import random

import pytest
from fakes.naive_placement import Seen, naive_place
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from upwhisk.common.ids import NodeId
from upwhisk.common.messages import Demand
from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.loadbalancer.books import NodeBook, Permit
from upwhisk.loadbalancer.fleet import Bounds, Fleet
from upwhisk.loadbalancer.placement import POLICIES, Decision, Request, place

NARROW = Bounds(probes=3, choices=2, named=5, scanned=6, trail_after=1, trails=2, sizes=2, bulk=4)
"""So small that every bound is met among few nodes."""
KINDS: tuple[tuple[str, ...], ...] = ((), ("p",), ("n", "p"), ("n",))


def _request(namespace: str, name: str, kind: str, memory_mb: int, concurrency: int = 1) -> Request:
    demand = Demand(kind=kind, memory_mb=memory_mb, timeout_ms=1000, concurrency=concurrency)
    return Request((namespace, f"{namespace}/{name}", "1"), demand)


REQUESTS = (
    _request("a", "small", "p", 128),
    _request("a", "large", "p", 512),
    _request("a", "other", "n", 256),
    _request("a", "pair", "p", 128, 2),
    _request("a", "many", "n", 256, 5),
    _request("b", "small", "n", 128),
    _request("b", "odd", "p", 333, 3),
    _request("c", "medium", "p", 300),
)
requests = st.sampled_from(REQUESTS)
states = st.sampled_from([NodeState.HEALTHY] * 4 + list(NodeState))
reports = st.builds(
    NodeReport,
    node=st.integers(0, 17).map(lambda number: NodeId(f"n{number}")),
    memory_mb=st.sampled_from([128, 512, 1024, 1100, 2048]),
    cores=st.just(2.0),
    kinds=st.sampled_from(KINDS),
    warm=st.lists(requests.map(lambda request: request.warm_key), max_size=3, unique=True).map(tuple),
    reason=st.sampled_from(["", "why"]),
)

shares = st.sampled_from([0.3, 0.5, 0.875, 1.0])


class Fleets(RuleBasedStateMachine):
    """Every decision is made twice, by the index and by the naive way."""

    def __init__(self, bounds: Bounds = NARROW) -> None:
        super().__init__()
        self.bounds = bounds
        self.fleet = Fleet(bounds)
        self.books: dict[str, NodeBook] = {}
        self.permits: list[Permit] = []
        self.controllers = 1

    @initialize(joining=st.lists(st.tuples(reports, states, shares), max_size=20))
    def join(self, joining: list[tuple[NodeReport, NodeState, float]]) -> None:
        for report, state, share in joining:
            self.hear(report, state, share)

    @rule(report=reports, state=states, share=shares)
    def hear(self, report: NodeReport, state: NodeState, share: float) -> None:
        book = self.books.get(report.node)
        if book is None:
            book = self.books[report.node] = NodeBook(report.node, report.memory_mb, share=share)
        book.resize(report.memory_mb, self.controllers)
        self.fleet.put(report, book, state, report.reason)

    @precondition(lambda self: self.fleet.nodes)
    @rule(which=st.integers(0, 99))
    def leave(self, which: int) -> None:
        self.fleet.remove(self.fleet.nodes[which % len(self.fleet.nodes)].node)

    @rule(request=requests, policy=st.sampled_from(sorted(POLICIES)), draw=st.integers(0, 99), count=st.integers(1, 15))
    def take(self, request: Request, policy: str, draw: int, count: int) -> None:
        for _ in range(count):
            decision = self.decide(request, policy, draw)
            if decision.node is None:
                return
            permit = self.books[decision.node].take(request.key, request.demand)
            assert permit is not None, "what is decided can be taken"
            self.permits.append(permit)

    @precondition(lambda self: self.books)
    @rule(which=st.integers(0, 99), request=requests)
    def force(self, which: int, request: Request) -> None:
        book = self.books[sorted(self.books)[which % len(self.books)]]
        self.permits.append(book.force(request.key, request.demand))

    @precondition(lambda self: self.permits)
    @rule(which=st.integers(0, 999), count=st.integers(1, 9))
    def release(self, which: int, count: int) -> None:
        for _ in range(min(count, len(self.permits))):
            self.permits.pop(which % len(self.permits)).release()

    @rule(controllers=st.integers(1, 3))
    def share(self, controllers: int) -> None:
        self.controllers = controllers
        for book in self.books.values():
            book.resize(book.memory_mb, controllers)

    @rule(request=requests, draw=st.integers(0, 99))
    def ask(self, request: Request, draw: int) -> None:
        for policy in POLICIES:
            self.decide(request, policy, draw)

    def decide(self, request: Request, policy: str, draw: int) -> Decision:
        seen = [Seen(node.report, node.state, node.reason, node.book, node.seat) for node in self.fleet.nodes]
        seats = len(self.fleet.seats)
        naive = naive_place(seen, request, policy, self.bounds, draw=draw, seats=seats)
        assert place(self.fleet, request, policy, draw=draw) == naive
        return naive

    @invariant()
    def sums_hold(self) -> None:
        self.fleet.flush()
        pools = self.fleet.pools.values()
        up = [node for node in self.fleet.nodes if node.state is NodeState.HEALTHY]
        assert sum(pool.used_mb for pool in pools) == sum(node.book.used_mb for node in up)
        assert sum(pool.budget_mb for pool in pools) == sum(node.book.budget_mb for node in up)
        assert sorted(key for pool in pools for key in pool.keys) == sorted(node.key for node in up)


Fleets.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestFleets = Fleets.TestCase


@pytest.mark.parametrize("seed", range(12))
def test_long_lives_of_larger_fleets(seed: int) -> None:
    """What few steps among few nodes do not reach: long trails, many changes between two decisions of one action."""
    luck = random.Random(seed)
    fleets = Fleets(NARROW if seed % 2 else Bounds(probes=8, trail_after=4, scanned=20, bulk=12))
    for number in range(60):
        fleets.hear(_report(luck, f"n{number:02}"), NodeState.HEALTHY, luck.choice([0.5, 0.875, 1.0]))
    few = luck.sample(REQUESTS, 3)
    for _ in range(150):
        request, draw = luck.choice(few if luck.random() < 0.8 else REQUESTS), luck.randrange(100)
        match luck.randrange(12):
            case 0 | 1 | 2:
                fleets.take(request, luck.choice(["hash", "hash", *sorted(POLICIES)]), draw, luck.randrange(1, 25))
            case 3 | 4 | 5 if fleets.permits:
                fleets.release(luck.randrange(10_000), luck.randrange(1, 9))
            case 6:
                fleets.hear(_report(luck, f"n{luck.randrange(64):02}"), luck.choice([NodeState.HEALTHY, *NodeState]), 0.5)
            case 7 if luck.random() < 0.2:
                fleets.leave(luck.randrange(100))
            case 8 if luck.random() < 0.2:
                fleets.share(luck.randrange(1, 4))
            case 9:
                fleets.force(luck.randrange(100), request)
            case _:
                fleets.ask(request, draw)
    fleets.sums_hold()
    for permit in fleets.permits:
        permit.release()
    fleets.fleet.flush()
    assert all(node.book.used_mb == 0 for node in fleets.fleet.nodes)
    assert not fleets.fleet.shared


def _report(luck: random.Random, name: str) -> NodeReport:
    return NodeReport(
        node=NodeId(name),
        memory_mb=luck.choice([512, 1024, 1100, 2048]),
        cores=2.0,
        kinds=luck.choice(KINDS),
        warm=tuple(request.warm_key for request in luck.sample(REQUESTS, luck.randrange(3))),
    )
