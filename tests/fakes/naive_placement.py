"""What placement means, node by node: the yardstick for the index. Slow, and as plain as it can be."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.loadbalancer.books import AT_SHARE, NO_PERMIT, NodeBook
from upwhisk.loadbalancer.fleet import Bounds
from upwhisk.loadbalancer.placement import Decision, Request

_ORDER = [*NodeState, "runtime", NO_PERMIT, AT_SHARE]


@dataclass(frozen=True)
class Seen:
    """A node as its controller sees it."""

    report: NodeReport
    state: NodeState
    reason: str
    book: NodeBook
    seat: int

    @property
    def id(self) -> str:
        return self.report.node

    @property
    def by_free(self) -> tuple[int, int]:
        return self.book.free_mb, -self.seat

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted(self.report.kinds))

    def running(self, request: Request) -> int | None:
        return self.book.open_slots(request.key) if request.demand.concurrency > 1 else None

    def is_warm(self, request: Request) -> bool:
        return request.warm_key in self.report.warm

    def serves(self, request: Request) -> bool:
        return self.state is NodeState.HEALTHY and (not self.kinds or request.demand.kind in self.kinds)


def naive_place(
    nodes: list[Seen], request: Request, policy: str, bounds: Bounds, *, draw: int, seats: int
) -> Decision:
    nodes = sorted(nodes, key=lambda node: node.id)
    refusals = {node.id: refusal(node, request) for node in nodes}
    taking = [node for node in nodes if refusals[node.id] is None]
    refused, counts = _explain(nodes, request, bounds)
    chosen = _choose(nodes, taking, request, policy, bounds, (draw, seats)) if taking else None
    if chosen is None:
        return Decision(None, policy, len(nodes), refused, counts)
    warm = chosen.is_warm(request) or chosen.running(request) is not None
    return Decision(chosen.id, policy, len(nodes), refused, counts, warm)


def refusal(node: Seen, request: Request) -> tuple[NodeState | str, str, str] | None:
    """Class, short and full reason."""
    if node.state is not NodeState.HEALTHY:
        text = f"{node.state.value}: {node.reason}" if node.reason else node.state.value
        return node.state, node.state.value, text
    if not node.serves(request):
        text = f"has no runtime for {request.demand.kind}"
        return "runtime", text, text
    text = node.book.refusal(request.key, request.demand) or ""
    return (text, text, text) if text else None


def _choose(
    nodes: list[Seen], taking: list[Seen], request: Request, policy: str, bounds: Bounds, drawn: tuple[int, int]
) -> Seen | None:
    if policy == "hash":
        return next(node for node in probed(nodes, request) if node in taking)
    slots = [node for node in taking if node.running(request) is not None]
    if slots:
        return min(slots, key=lambda node: (node.running(request), node.seat))
    match policy:
        case "random":
            return sorted(taking, key=lambda node: (node.kinds, node.by_free))[drawn[0] % len(taking)]
        case "binpack":
            return min(taking, key=lambda node: node.by_free)
        case "warm":
            return _warm(nodes, taking, request, bounds, drawn)
        case _:
            return max(taking, key=lambda node: node.by_free)


def _warm(
    nodes: list[Seen], taking: list[Seen], request: Request, bounds: Bounds, drawn: tuple[int, int]
) -> Seen:
    draw, seats = drawn
    warm = [node for node in taking if node.is_warm(request)]
    if warm:
        warm.sort(key=lambda node: (node.seat - draw % seats) % seats)
        return max(warm[: bounds.choices], key=lambda node: node.by_free)
    serving = [node for node in nodes if node.serves(request)]
    used, budget = sum(node.book.used_mb for node in serving), sum(node.book.budget_mb for node in serving)
    for node in probed(nodes, request)[: bounds.probes]:
        if node in taking and node.book.used_mb * budget * 4 <= node.book.budget_mb * used * 5:
            return node
    return max(taking, key=lambda node: node.by_free)


def probed(nodes: list[Seen], request: Request) -> list[Seen]:
    """OpenWhisk's order."""
    count, hash_ = len(nodes), abs(_java_hash(request.key[0]) ^ _java_hash(request.key[1]))
    steps: list[int] = []
    for candidate in range(1, count + 1):
        if gcd(candidate, count) == 1 and all(gcd(candidate, other) == 1 for other in steps):
            steps.append(candidate)
    step = steps[hash_ % len(steps)]
    return [nodes[(hash_ + step * number) % count] for number in range(count)]


def _java_hash(text: str) -> int:
    value = 0
    for letter in text:
        value = (31 * value + ord(letter)) % 2**32
    return value - 2**32 if value >= 2**31 else value


def _explain(nodes: list[Seen], request: Request, bounds: Bounds) -> tuple[dict[str, str], dict[str, int]]:
    groups: dict[NodeState | str, list[tuple[Seen, str, str]]] = {}
    for node in nodes:
        found = refusal(node, request)
        if found is not None:
            groups.setdefault(found[0], []).append((node, found[1], found[2]))
    refused: dict[str, str] = {}
    classes = sorted(groups, key=lambda one: (len(groups[one]), _ORDER.index(one)))
    for at, class_ in enumerate(classes):
        share = -(-(bounds.named - len(refused)) // (len(classes) - at))
        for node, _, text in _sample(class_, groups[class_], nodes, request, bounds)[:share]:
            refused[node.id] = text
    return refused, {group[0][1]: len(group) for group in groups.values()}


def _sample(
    class_: NodeState | str, group: list[tuple[Seen, str, str]], nodes: list[Seen], request: Request, bounds: Bounds
) -> list[tuple[Seen, str, str]]:
    if isinstance(class_, NodeState):
        return sorted(group, key=lambda one: one[0].id)
    group = sorted(group, key=lambda one: (one[0].kinds, one[0].by_free))
    if class_ == "runtime" or not any(_has_slot(node, request) for node in nodes):
        return group
    looked = [
        node for node in nodes if node.serves(request) and node.book.refusal_of_new(request.key, request.demand) == class_
    ]
    looked.sort(key=lambda node: (node.kinds, node.by_free))
    return [one for one in group if one[0] in looked[: bounds.scanned]]


def _has_slot(node: Seen, request: Request) -> bool:
    return node.serves(request) and node.running(request) is not None
