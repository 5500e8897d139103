"""Where a namespace's share, or a container that several activations share, makes a node differ for one request. Pure."""

from __future__ import annotations

from array import array
from bisect import insort

from upwhisk.common.messages import Demand
from upwhisk.loadbalancer.books import AT_SHARE, NO_PERMIT, Key
from upwhisk.loadbalancer.node import Node, Spot
from upwhisk.loadbalancer.pools import SEATS, Keys, Subset, remove


class Shut:
    """Nodes with memory free that a namespace may not take because it holds its share there.

    Only nodes where it holds most of the memory can be such; for each size that is asked for they are kept as a subset,
    made when it is asked for the first time. At most `limit` sizes of a namespace are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heavy: dict[str, set[Node]] = {}
        self._sizes: dict[str, dict[int, Subset]] = {}

    def subset(self, namespace: str, memory_mb: int) -> Subset | None:
        """None: there is no such node."""
        heavy = self._heavy.get(namespace)
        if heavy is None:
            return None
        sizes = self._sizes.setdefault(namespace, {})
        found = sizes.get(memory_mb)
        if found is None:
            if len(sizes) >= self._limit:
                del sizes[next(iter(sizes))]
            found = sizes[memory_mb] = Subset()
            for node in heavy:
                _judge(found, node, namespace, memory_mb)
        return found if len(found) else None

    def tell(self, node: Node) -> None:
        """Its book or its pool is another. Nothing to do for one that is and was in no namespace's hands."""
        heavy = frozenset(node.book.heavy) if node.pool is not None else frozenset()
        if not heavy and not node.heavy:
            return
        for namespace in node.heavy | heavy:
            nodes = self._heavy.setdefault(namespace, set())
            (nodes.add if namespace in heavy else nodes.discard)(node)
            for memory_mb, subset in self._sizes.get(namespace, {}).items():
                subset.discard(node)
                if namespace in heavy:
                    _judge(subset, node, namespace, memory_mb)
            if not nodes:
                del self._heavy[namespace]
                self._sizes.pop(namespace, None)
        node.heavy = heavy


def _judge(subset: Subset, node: Node, namespace: str, memory_mb: int) -> None:
    if memory_mb <= node.book.free_mb and node.book.at_share(namespace, memory_mb):
        subset.add(node)


class Shared:
    """The nodes that have a container of `key` with a slot left. `spots` orders them by the activations running in it,
    then by seat. `refused`: how many of them a new container would be refused, by reason."""

    def __init__(self, key: Key, demand: Demand) -> None:
        self.key = key
        self.demand = demand
        self.spots: Keys = array("q")
        self.refused = {NO_PERMIT: 0, AT_SHARE: 0}

    def tell(self, node: Node) -> None:
        """Its book or its pool is another."""
        before = node.open.pop(self.key, None)
        if before is not None:
            remove(self.spots, before.order)
            if before.refused is not None:
                self.refused[before.refused] -= 1
        running = node.book.open_slots(self.key)
        if running is None or node.pool is None or not node.pool.serves(self.demand.kind):
            return
        order, reason = running * SEATS + node.seat, node.book.refusal_of_new(self.key, self.demand)
        node.open[self.key] = Spot(order, self.demand.memory_mb, reason)
        insort(self.spots, order)
        if reason is not None:
            self.refused[reason] += 1


def seat_at(spot: int) -> int:
    return spot % SEATS
