"""What is booked on each node, as permits that are returned exactly once. Pure."""

from __future__ import annotations

from upwhisk.common.messages import ActivationMessage, Demand

Key = tuple[str, str, str]
"""Namespace, document id and revision: activations that may share a container."""


def key_of(message: ActivationMessage) -> Key:
    return message.namespace, message.action.document_id, message.action.revision


class Permit:
    """The right to run one activation on one node. `release` may be called more than once; once counts."""

    __slots__ = ("_book", "_demand", "_key", "_released")

    def __init__(self, book: NodeBook, key: Key, demand: Demand) -> None:
        self._book = book
        self._key = key
        self._demand = demand
        self._released = False

    @property
    def node(self) -> str:
        return self._book.node

    def release(self) -> None:
        if not self._released:
            self._released = True
            self._book.give_back(self._key, self._demand)


class NodeBook:
    """Memory of one node, MB. Activations of one action share a container up to their concurrency, which books the
    container's memory once. One namespace may hold at most `share` of the node, so that a burst of one leaves room
    for others; a node too small for that is shared first come, first served. `permits`: how many are out."""

    def __init__(self, node: str, memory_mb: int, *, share: float = 0.875) -> None:
        self.node = node
        self.memory_mb = memory_mb
        self.used_mb = 0
        self.permits = 0
        self._share = share
        self._by_namespace: dict[str, int] = {}
        self._shared: dict[Key, list[int]] = {}

    def refusal(self, key: Key, demand: Demand) -> str | None:
        """Why `take` would refuse, or None."""
        needed = self._needed(key, demand)
        if needed == 0:
            return None
        if self.used_mb + needed > self.memory_mb:
            return "no permit free"
        mine = self._by_namespace.get(key[0], 0)
        limit = self.memory_mb * self._share
        if mine and mine + needed > limit and self.memory_mb - limit >= needed:
            return "namespace holds its share"
        return None

    def take(self, key: Key, demand: Demand) -> Permit | None:
        if self.refusal(key, demand) is not None:
            return None
        return self.force(key, demand)

    def force(self, key: Key, demand: Demand) -> Permit:
        """A permit for work that the node has already, whether it fits or not."""
        needed = self._needed(key, demand)
        self.permits += 1
        self._book(key[0], needed)
        if demand.concurrency > 1:
            entry = self._shared.setdefault(key, [0, 0])
            entry[0] += 1
            entry[1] += 1 if needed else 0
        return Permit(self, key, demand)

    def give_back(self, key: Key, demand: Demand) -> None:
        """Called by permits only."""
        self.permits -= 1
        if demand.concurrency == 1:
            self._book(key[0], -demand.memory_mb)
            return
        entry = self._shared[key]
        entry[0] -= 1
        if entry[0] <= (entry[1] - 1) * demand.concurrency:
            entry[1] -= 1
            self._book(key[0], -demand.memory_mb)
        if entry[0] == 0:
            del self._shared[key]

    def _needed(self, key: Key, demand: Demand) -> int:
        entry = self._shared.get(key) if demand.concurrency > 1 else None
        if entry is not None and entry[0] < entry[1] * demand.concurrency:
            return 0
        return demand.memory_mb

    def _book(self, namespace: str, memory_mb: int) -> None:
        self.used_mb += memory_mb
        held = self._by_namespace.get(namespace, 0) + memory_mb
        if held:
            self._by_namespace[namespace] = held
        else:
            del self._by_namespace[namespace]
