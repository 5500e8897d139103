"""Why the nodes that cannot take a request do not. Pure.

Reasons are counted without looking at nodes: pools and subsets know their lengths. At most 20 nodes are named. Every
reason has its part of the names, and what one does not need is the others'; within a reason the order is that of ids for
nodes that take no work at all, and of free memory, fullest first, for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, islice

from upwhisk.common.spi.nodes import NodeState
from upwhisk.loadbalancer.books import AT_SHARE, NO_PERMIT
from upwhisk.loadbalancer.candidates import Candidates
from upwhisk.loadbalancer.pools import seat_of

Named = Callable[[int], dict[str, str]]
"""At most so many nodes and their reasons."""


def no_runtime(kind: str) -> str:
    return f"has no runtime for {kind}"


def refusals(candidates: Candidates) -> tuple[dict[str, str], dict[str, int]]:
    """Node -> reason for those named, and reason -> nodes for all. A node's state is counted without its explanation."""
    reasons = [*_states(candidates), *_runtimes(candidates), *_books(candidates)]
    reasons.sort(key=lambda one: one[0])
    refused: dict[str, str] = {}
    left = candidates.fleet.bounds.named
    for position, (_, _, name) in enumerate(reasons):
        named = name(-(-left // (len(reasons) - position)))
        left -= len(named)
        refused |= named
    return refused, {reason: count for count, reason, _ in reasons}


def _states(candidates: Candidates) -> list[tuple[int, str, Named]]:
    by_id = candidates.fleet.by_id

    def of(ids: list[str]) -> Named:
        return lambda most: {node: by_id[node].text for node in ids[:most]}

    refusing = candidates.fleet.refusing
    return [(len(refusing[state]), state.value, of(refusing[state])) for state in NodeState if state in refusing]


def _runtimes(candidates: Candidates) -> list[tuple[int, str, Named]]:
    lists = [pool.keys for pool in candidates.serving.others]
    if not lists:
        return []
    reason = no_runtime(candidates.request.demand.kind)
    return [(sum(map(len, lists)), reason, lambda most: _named(candidates, reason, lists, most, shares=False))]


def _books(candidates: Candidates) -> list[tuple[int, str, Named]]:
    shared, bounds = candidates.shared, candidates.fleet.bounds
    most = max(bounds.named, bounds.scanned)
    floors = zip(candidates.serving.pools, candidates.floors, strict=True)
    full = [pool.keys[: min(floor, most)] for pool, floor in floors]
    found: list[tuple[int, str, Named]] = []
    for reason, count, lists in (
        (NO_PERMIT, sum(candidates.floors), full),
        (AT_SHARE, sum(map(len, candidates.shut)), candidates.shut),
    ):
        left = count - shared.refused[reason] if shared is not None else count
        if left:
            found.append((left, reason, _namer(candidates, reason, lists)))
    return found


def _namer(candidates: Candidates, reason: str, lists: list[list[int]]) -> Named:
    return lambda most: _named(candidates, reason, lists, most, shares=True)


def _named(
    candidates: Candidates, reason: str, lists: list[list[int]], most: int, *, shares: bool
) -> dict[str, str]:
    """`shares`: leave out nodes that take it into a container they have; then no more than `scanned` are looked at."""
    seats = candidates.fleet.seats
    if not shares or candidates.shared is None:
        nodes = (seats[seat_of(key)] for key in islice(chain.from_iterable(lists), most))
        return {node.node: reason for node in nodes if node is not None}
    key = candidates.request.key
    looked = (seats[seat_of(one)] for one in islice(chain.from_iterable(lists), candidates.fleet.bounds.scanned))
    return {node.node: reason for node in islice((n for n in looked if n is not None and key not in n.open), most)}
