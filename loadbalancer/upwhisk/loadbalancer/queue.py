"""Work that waits for a permit: bounded by length and by the wait to be expected, and fair between namespaces. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_WEIGHT = 0.1
"""Weight of the newest interval in a line's pace."""


class _Line(Generic[T]):
    """What one namespace has waiting, and how fast it is served."""

    __slots__ = ("entries", "pace_s", "served_at")

    def __init__(self) -> None:
        self.entries: deque[T] = deque()
        self.pace_s: float | None = None
        self.served_at: float | None = None

    def serve(self, now: float) -> None:
        self.entries.popleft()
        if self.served_at is not None:
            took = now - self.served_at
            self.pace_s = took if self.pace_s is None else self.pace_s + _WEIGHT * (took - self.pace_s)
        self.served_at = now

    def expected_s(self, now: float) -> float:
        """How long one more entry would wait; 0 as long as nothing is known."""
        if self.pace_s is None or self.served_at is None:
            return 0.0
        return max(self.pace_s * len(self.entries), now - self.served_at)


class FairQueue(Generic[T]):
    """One line for each namespace; lines are served in turn, so a long one does not hold up others.

    Times are monotonic seconds.
    """

    def __init__(self, max_length: int, max_per_namespace: int) -> None:
        self._max_length = max_length
        self._max_per_namespace = max_per_namespace
        self._lines: OrderedDict[str, _Line[T]] = OrderedDict()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def refusal(self, namespace: str, count: int = 1) -> str | None:
        """Why `count` more entries of `namespace` do not fit, or None."""
        if self._length + count > self._max_length:
            return f"the queue is full ({self._max_length})"
        line = self._lines.get(namespace)
        if line is not None and len(line.entries) + count > self._max_per_namespace:
            return f"the queue of namespace '{namespace}' is full ({self._max_per_namespace})"
        return None

    def expected_s(self, namespace: str, now: float) -> float:
        """How long one more entry of `namespace` would wait, from the pace at which its line is served."""
        line = self._lines.get(namespace)
        return 0.0 if line is None else line.expected_s(now)

    def push(self, namespace: str, entry: T) -> None:
        line = self._lines.get(namespace)
        if line is None:
            line = self._lines[namespace] = _Line()
        line.entries.append(entry)
        self._length += 1

    def waiting(self, namespace: str) -> bool:
        return namespace in self._lines

    def pop_first(self, takes: Callable[[T], bool], now: float = 0.0) -> bool:
        """Offer the head of each line, in turn, until one is taken; False if none was."""
        for namespace in list(self._lines):
            line = self._lines[namespace]
            if takes(line.entries[0]):
                line.serve(now)
                self._length -= 1
                self._lines.move_to_end(namespace)
                if not line.entries:
                    del self._lines[namespace]
                return True
        return False

    def remove(self, namespace: str, entry: T) -> bool:
        line = self._lines.get(namespace)
        if line is None or entry not in line.entries:
            return False
        line.entries.remove(entry)
        self._length -= 1
        if not line.entries:
            del self._lines[namespace]
        return True

    def drain(self) -> list[T]:
        entries = [entry for line in self._lines.values() for entry in line.entries]
        self._lines.clear()
        self._length = 0
        return entries
