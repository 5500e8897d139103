"""Which node gets an activation: feasible, then ranked by the policy, then the best. Pure.

A policy is a function from the feasible nodes to one of them. `warm` is the default until forecasts exist: a node
that holds a warm container first, then bounded-load hashing (Mirrokni, Thorup, Zadimoghaddam 2018): the home node,
or the next in its probing order whose load is below 1.25 times the mean.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from upwhisk.common.messages import Demand
from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.loadbalancer.books import Key, NodeBook
from upwhisk.loadbalancer.homes import hash_of, probe_order

_NAMED = 20
"""How many refusals a decision names; the rest are counted by reason."""
_BOUND = 1.25


@dataclass(frozen=True, slots=True)
class Node:
    """One node as the balancer sees it."""

    report: NodeReport
    book: NodeBook

    @property
    def load(self) -> float:
        return self.book.used_mb / max(1, self.book.memory_mb)


@dataclass(frozen=True, slots=True)
class Request:
    key: Key
    demand: Demand

    @property
    def warm_key(self) -> str:
        return "/".join(self.key[:2]) + "@" + self.key[2]


@dataclass(frozen=True, slots=True)
class Decision:
    """`node` None: refused everywhere. `refused`: node -> reason, at most 20; `counts`: reason -> nodes."""

    node: str | None
    policy: str
    considered: int
    refused: dict[str, str]
    counts: dict[str, int]
    warm: bool = False


Policy = Callable[[Sequence[Node], Request], Node]


def refusal(node: Node, request: Request) -> str | None:
    """Why this node cannot take the request now, or None."""
    report = node.report
    if report.state is not NodeState.HEALTHY:
        return f"{report.state.value}: {report.reason}" if report.reason else report.state.value
    if report.kinds and request.demand.kind not in report.kinds:
        return f"has no runtime for {request.demand.kind}"
    return node.book.refusal(request.key, request.demand)


def place(nodes: Sequence[Node], request: Request, policy: str) -> Decision:
    feasible: list[Node] = []
    refused: dict[str, str] = {}
    counts: dict[str, int] = {}
    for node in nodes:
        reason = refusal(node, request)
        if reason is None:
            feasible.append(node)
            continue
        counts[reason] = counts.get(reason, 0) + 1
        if len(refused) < _NAMED:
            refused[node.report.node] = reason
    if not feasible:
        return Decision(None, policy, len(nodes), refused, counts)
    chosen = feasible[0] if len(feasible) == 1 else POLICIES[policy](feasible, request)
    warm = request.warm_key in chosen.report.warm if chosen.report.warm else False
    return Decision(chosen.report.node, policy, len(nodes), refused, counts, warm)


def _random(nodes: Sequence[Node], request: Request) -> Node:
    return random.choice(nodes)  # noqa: S311 - placement needs no secrecy


def _spread(nodes: Sequence[Node], request: Request) -> Node:
    return min(nodes, key=lambda node: (node.load, node.report.node))


def _binpack(nodes: Sequence[Node], request: Request) -> Node:
    return max(nodes, key=lambda node: (node.load, node.report.node))


def _hash(nodes: Sequence[Node], request: Request) -> Node:
    return nodes[next(probe_order(hash_of(request.key[0], request.key[1]), len(nodes)))]


def _warm(nodes: Sequence[Node], request: Request) -> Node:
    warm = [node for node in nodes if request.warm_key in node.report.warm]
    if warm:
        return _spread(warm, request)
    bound = _BOUND * sum(node.load for node in nodes) / len(nodes)
    for index in probe_order(hash_of(request.key[0], request.key[1]), len(nodes)):
        if nodes[index].load <= bound:
            return nodes[index]
    return _spread(nodes, request)


POLICIES: dict[str, Policy] = {
    "random": _random,
    "spread": _spread,
    "binpack": _binpack,
    "hash": _hash,
    "warm": _warm,
}
