"""A walk along an action's probing order that remembers how far everything was refused. Pure.

An action that is called so much that it fills node after node from its home on would probe all of them with each call.
Its trail knows the prefix that was refused the last time, and which nodes in it have changed since.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from upwhisk.loadbalancer.node import Node


class Trail:
    """Every node of rank below `_done` was refused when the log of changes was `_seen` long, but for `_changed`."""

    __slots__ = ("_changed", "_done", "_home", "_inverse", "_queued", "_seen", "_step")

    def __init__(self, home: int, step: int, count: int, seen: int) -> None:
        self._home = home
        self._step = step
        self._inverse = pow(step, -1, count) if count > 1 else 0
        self._restart(seen)

    def _restart(self, seen: int) -> None:
        self._done = 0
        self._seen = seen
        self._changed: list[int] = []
        self._queued: set[int] = set()

    def first(self, nodes: Sequence[Node], log: Sequence[Node], takes: Callable[[Node], bool]) -> Node | None:
        """The first node in probing order that takes it. `log`: nodes in the order of their changes, with repetitions."""
        count = len(nodes)
        if len(log) - self._seen > self._done:  # beginning anew is quicker than catching up
            self._restart(len(log))
        self._catch_up(log, count)
        while self._changed:
            node = nodes[(self._home + self._changed[0] * self._step) % count]
            if takes(node):
                return node
            self._queued.remove(heappop(self._changed))
        while self._done < count:
            node = nodes[(self._home + self._done * self._step) % count]
            if takes(node):
                return node
            self._done += 1
        return None

    def _catch_up(self, log: Sequence[Node], count: int) -> None:
        for index in range(self._seen, len(log)):
            rank = (log[index].place - self._home) * self._inverse % count
            if rank < self._done and rank not in self._queued:
                self._queued.add(rank)
                heappush(self._changed, rank)
        self._seen = len(log)
