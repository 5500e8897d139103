"""One request and the nodes that could take it now. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable

import msgspec

from upwhisk.common.messages import Demand
from upwhisk.loadbalancer.books import Key
from upwhisk.loadbalancer.fleet import Fleet
from upwhisk.loadbalancer.node import Node
from upwhisk.loadbalancer.pools import (
    NO_KEYS,
    Keys,
    Pool,
    first_seats,
    first_with,
    last_outside,
    nth_outside,
    seat_of,
)
from upwhisk.loadbalancer.sharing import seat_at


class Request(msgspec.Struct, frozen=True):
    key: Key
    demand: Demand

    @property
    def warm_key(self) -> str:
        namespace, document_id, revision = self.key
        return f"{namespace}/{document_id}@{revision}"


class Candidates:
    """`count`: nodes that would take it. `floors`: for each pool with the runtime, how many of its nodes have too little
    memory free. `shut`: those the namespace may not take for its share, by pool; empty if there are none. `shared`: the
    nodes where a container of this action has a slot left."""

    __slots__ = ("_first", "_shut", "count", "fleet", "floors", "request", "serving", "shared", "shut")

    def __init__(self, fleet: Fleet, request: Request) -> None:
        key, demand = request.key, request.demand
        self.fleet = fleet
        self.request = request
        self.serving = fleet.serving(demand.kind)
        self._first = first_with(demand.memory_mb)
        self._shut = fleet.shut.subset(key[0], demand.memory_mb)
        self.shared = fleet.shared.get(key) if demand.concurrency > 1 else None
        self.floors: list[int] = []
        count = 0
        for pool in self.serving.pools:
            floor = bisect_left(pool.keys, self._first)
            self.floors.append(floor)
            count += len(pool.keys) - floor
        self.shut: list[Keys] = []
        if self._shut is not None:
            self.shut = [self._shut.keys(pool) for pool in self.serving.pools]
            count -= sum(map(len, self.shut))
        if self.shared is not None:
            count += sum(self.shared.refused.values())
        self.count = count

    def takes(self, node: Node) -> bool:
        if node.pool not in self.serving.members:
            return False
        if node.key >= self._first and (self._shut is None or node not in self._shut):
            return True
        return self.shared is not None and self.request.key in node.open

    def open(self) -> Node | None:
        """Of the nodes where a container of this action has a slot left, the one where the fewest of its activations
        run: it costs no memory."""
        return self._at(seat_at(self.shared.spots[0])) if self.shared is not None else None

    def most_free(self) -> Node | None:
        """The node with the most memory free."""
        found = [last_outside(pool.keys, floor, shut) for pool, floor, shut in self._parts()]
        return self._of(max(filter(None, found), default=None))

    def least_free(self) -> Node | None:
        """The node with the least memory free that is enough."""
        found = [nth_outside(pool.keys, floor, shut, 0) for pool, floor, shut in self._parts()]
        return self._of(min(filter(None, found), default=None))

    def nth(self, number: int) -> Node | None:
        """One of those with memory free, by number: in the order of pools, then of free memory."""
        for pool, floor, shut in self._parts():
            size = len(pool.keys) - floor - len(shut)
            if number < size:
                return self._of(nth_outside(pool.keys, floor, shut, number))
            number -= size
        return None

    def warm(self, draw: int) -> Node | None:
        """Of `choices` nodes that hold a warm container, from a drawn seat on, the one with the most memory free."""
        mask = self.fleet.warm.get(self.request.warm_key)
        if not mask:
            return None
        mask &= self.fleet.fits.mask(self.request.demand.memory_mb, self.fleet.pools)
        if self.serving.others:
            mask &= sum(pool.mask for pool in self.serving.pools)  # no two pools have a node in common
        if self._shut is not None:
            mask &= ~self._shut.mask
        seats = first_seats(mask, draw % len(self.fleet.seats), self.fleet.bounds.choices)
        return max(map(self._at, seats), key=lambda node: node.key, default=None)

    def _parts(self) -> Iterable[tuple[Pool, int, Keys]]:
        return zip(self.serving.pools, self.floors, self.shut or [NO_KEYS] * len(self.floors), strict=True)

    def _of(self, key: int | None) -> Node | None:
        return None if key is None else self._at(seat_of(key))

    def _at(self, seat: int) -> Node:
        node = self.fleet.seats[seat]
        assert node is not None, "a seat without a node is in no set"
        return node
