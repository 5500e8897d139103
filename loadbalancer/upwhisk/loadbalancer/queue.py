"""Work that waits for a permit: bounded, and fair between namespaces. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """One line for each namespace; lines are served in turn, so a long one does not hold up others."""

    def __init__(self, max_length: int, max_per_namespace: int) -> None:
        self._max_length = max_length
        self._max_per_namespace = max_per_namespace
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def refusal(self, namespace: str, count: int = 1) -> str | None:
        """Why `count` more entries of `namespace` do not fit, or None."""
        if self._length + count > self._max_length:
            return f"the queue is full ({self._max_length})"
        if len(self._lines.get(namespace, ())) + count > self._max_per_namespace:
            return f"the queue of namespace '{namespace}' is full ({self._max_per_namespace})"
        return None

    def push(self, namespace: str, entry: T) -> None:
        line = self._lines.get(namespace)
        if line is None:
            line = self._lines[namespace] = deque()
        line.append(entry)
        self._length += 1

    def waiting(self, namespace: str) -> bool:
        return namespace in self._lines

    def pop_first(self, takes: Callable[[T], bool]) -> bool:
        """Offer the head of each line, in turn, until one is taken; False if none was."""
        for namespace in list(self._lines):
            line = self._lines[namespace]
            if takes(line[0]):
                line.popleft()
                self._length -= 1
                self._lines.move_to_end(namespace)
                if not line:
                    del self._lines[namespace]
                return True
        return False

    def remove(self, namespace: str, entry: T) -> bool:
        line = self._lines.get(namespace)
        if line is None or entry not in line:
            return False
        line.remove(entry)
        self._length -= 1
        if not line:
            del self._lines[namespace]
        return True

    def drain(self) -> list[T]:
        entries = [entry for line in self._lines.values() for entry in line]
        self._lines.clear()
        self._length = 0
        return entries
