"""Which node gets an activation: those that can take it, then the policy's choice among them. Pure.

`warm` is the default until forecasts exist: a node that holds a warm container first, then bounded-load hashing
(Mirrokni, Thorup, Zadimoghaddam 2018): the home node, or the next in its probing order whose load is not above 1.25
times the mean; and when 32 are above it, the one with the most memory free. Whatever the policy but `hash`, an
activation goes first into a container of its action that runs already and has a slot left, for that costs no memory.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from upwhisk.common.spi.nodes import NodeState
from upwhisk.loadbalancer.candidates import Candidates, Request
from upwhisk.loadbalancer.fleet import Fleet
from upwhisk.loadbalancer.homes import hash_of, walk
from upwhisk.loadbalancer.node import Node
from upwhisk.loadbalancer.refusals import no_runtime, refusals

__all__ = ["POLICIES", "Decision", "Request", "place"]

_CHANGED_KEPT = 64


class Decision(msgspec.Struct, frozen=True):
    """`node` None: refused everywhere. `considered`: nodes there are. `refused`: node -> reason, at most 20;
    `counts`: reason -> nodes. `warm`: the node holds a container for it."""

    node: str | None
    policy: str
    considered: int
    refused: dict[str, str]
    counts: dict[str, int]
    warm: bool = False


Policy = Callable[[Candidates, int], Node | None]
"""One of the candidates, of which there is at least one. The number is drawn for this decision."""


def place(fleet: Fleet, request: Request, policy: str, *, draw: int | None = None) -> Decision:
    """`draw`: what `random`, and `warm` among many warm nodes, choose by; the same one chooses the same node."""
    if len(fleet.nodes) == 1:
        return _place_on_one(fleet, fleet.nodes[0], request, policy)
    fleet.flush()
    candidates = Candidates(fleet, request)
    node = None
    if candidates.count:
        node = POLICIES[policy](candidates, random.getrandbits(32) if draw is None else draw)
        assert node is not None, "a policy chooses where there is a choice"
    refused, counts = refusals(candidates)
    if node is None:
        return Decision(None, policy, len(fleet.nodes), refused, counts)
    return Decision(node.node, policy, len(fleet.nodes), refused, counts, _holds(fleet, node, request))


def _place_on_one(fleet: Fleet, node: Node, request: Request, policy: str) -> Decision:
    """The same without an index: there is nothing to choose."""
    book, demand = node.book, request.demand
    if len(book.changed) > _CHANGED_KEPT:
        fleet.flush()
    if node.state is not NodeState.HEALTHY:
        return Decision(None, policy, 1, {node.node: node.text}, {node.state.value: 1})
    kinds = node.report.kinds
    reason = no_runtime(demand.kind) if kinds and demand.kind not in kinds else book.refusal(request.key, demand)
    if reason is not None:
        return Decision(None, policy, 1, {node.node: reason}, {reason: 1})
    warm = demand.concurrency > 1 and book.open_slots(request.key) is not None
    return Decision(node.node, policy, 1, {}, {}, warm or request.warm_key in fleet.warm)


def _holds(fleet: Fleet, node: Node, request: Request) -> bool:
    if request.demand.concurrency > 1 and request.key in node.open:
        return True
    mask = fleet.warm.get(request.warm_key)
    return mask is not None and bool(mask >> node.seat & 1)


def _random(candidates: Candidates, draw: int) -> Node | None:
    return candidates.open() or candidates.nth(draw % candidates.count)


def _spread(candidates: Candidates, draw: int) -> Node | None:
    return candidates.open() or candidates.most_free()


def _binpack(candidates: Candidates, draw: int) -> Node | None:
    return candidates.open() or candidates.least_free()


def _hash(candidates: Candidates, draw: int) -> Node | None:
    fleet, key, memory_mb = candidates.fleet, candidates.request.key, candidates.request.demand.memory_mb
    trail = fleet.trails.get((key, memory_mb))
    if trail is None:
        nodes = fleet.nodes
        home, step = walk(hash_of(key[0], key[1]), len(nodes))
        index = home
        for _ in range(min(len(nodes), fleet.bounds.trail_after)):
            if candidates.takes(nodes[index]):
                return nodes[index]
            index = (index + step) % len(nodes)
        trail = fleet.trail((key, memory_mb), home, step)
    return trail.first(fleet.nodes, fleet.log, candidates.takes)


def _warm(candidates: Candidates, draw: int) -> Node | None:
    return candidates.open() or candidates.warm(draw) or _below_bound(candidates) or candidates.most_free()


def _below_bound(candidates: Candidates) -> Node | None:
    """Load is what is booked of the budget; the mean is over all nodes that take work and have the runtime."""
    nodes, pools = candidates.fleet.nodes, candidates.serving.pools
    used_mb, budget_mb = 5 * sum(pool.used_mb for pool in pools), 4 * sum(pool.budget_mb for pool in pools)
    key = candidates.request.key
    index, step = walk(hash_of(key[0], key[1]), len(nodes))
    for _ in range(min(len(nodes), candidates.fleet.bounds.probes)):
        node = nodes[index]
        if node.used_mb * budget_mb <= used_mb * node.budget_mb and candidates.takes(node):
            return node
        index = (index + step) % len(nodes)
    return None


POLICIES: dict[str, Policy] = {
    "random": _random,
    "spread": _spread,
    "binpack": _binpack,
    "hash": _hash,
    "warm": _warm,
}
