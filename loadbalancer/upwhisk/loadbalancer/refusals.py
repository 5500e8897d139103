"""Why the nodes that cannot take a request do not. Pure.

Reasons are counted without looking at nodes: pools and subsets know their lengths. At most 20 nodes are named. Every
reason has its part of the names, and what one does not need is the others'; within a reason the order is that of ids for
nodes that take no work at all, and of free memory, fullest first, for the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice
from operator import itemgetter

from upwhisk.loadbalancer.books import AT_SHARE, NO_PERMIT
from upwhisk.loadbalancer.candidates import Candidates
from upwhisk.loadbalancer.pools import LAST_SEAT, seat_of

Reason = tuple[int, str, list[tuple[str, str]], Sequence[Sequence[int]]]
"""How many nodes, why, and either ids with texts that say more, or the keys of those that it is said of."""
_count_of = itemgetter(0)


def no_runtime(kind: str) -> str:
    return f"has no runtime for {kind}"


def refusals(candidates: Candidates) -> tuple[dict[str, str], dict[str, int]]:
    """Node -> reason for those named, and reason -> nodes for all. A node's state is counted without its explanation."""
    reasons: list[Reason] = [
        (len(texts), state.value, texts, ()) for state, texts in candidates.fleet.refusing.items() if texts
    ]
    if candidates.serving.others:
        reasons.append(_runtime(candidates))
    reasons += _books(candidates)
    reasons.sort(key=_count_of)
    refused: dict[str, str] = {}
    left, most_named = len(reasons), candidates.fleet.bounds.named
    for _, reason, texts, keys in reasons:
        most = -(-(most_named - len(refused)) // left)
        left -= 1
        if texts:
            refused.update(texts[:most])
        else:
            _name(candidates, refused, reason, keys, most)
    return refused, {reason: count for count, reason, _, _ in reasons}


def _runtime(candidates: Candidates) -> Reason:
    keys = [pool.keys for pool in candidates.serving.others]
    return sum(map(len, keys)), no_runtime(candidates.request.demand.kind), [], keys


def _books(candidates: Candidates) -> list[Reason]:
    shared, bounds = candidates.shared, candidates.fleet.bounds
    short, shut = sum(candidates.floors), sum(map(len, candidates.shut))
    if shared is not None:
        short, shut = short - shared.refused[NO_PERMIT], shut - shared.refused[AT_SHARE]
    found: list[Reason] = []
    if short:
        most = bounds.named if shared is None else bounds.scanned
        floors = zip(candidates.serving.pools, candidates.floors, strict=True)
        found.append((short, NO_PERMIT, [], [pool.keys[: min(floor, most)] for pool, floor in floors]))
    if shut:
        found.append((shut, AT_SHARE, [], candidates.shut))
    return found


def _name(
    candidates: Candidates, refused: dict[str, str], reason: str, keys: Sequence[Sequence[int]], most: int
) -> None:
    """Leave out nodes that take it into a container they have; then no more than `scanned` are looked at."""
    fleet = candidates.fleet
    ids = fleet.ids
    every = keys[0] if len(keys) == 1 else chain.from_iterable(keys)
    if candidates.shared is None:
        for key in islice(every, most):
            refused[ids[LAST_SEAT - (key & LAST_SEAT)]] = reason  # `seat_of`, twenty times over
        return
    wanted = candidates.request.key
    looked = (fleet.by_id[ids[seat_of(key)]] for key in islice(every, fleet.bounds.scanned))
    for node in islice((node for node in looked if wanted not in node.open), most):
        refused[node.node] = reason
