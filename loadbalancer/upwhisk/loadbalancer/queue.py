"""Work that waits for a permit: bounded by length and by the wait to be expected; fair between namespaces, and within each
between its actions. Pure."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
_WEIGHT = 0.1
"""Weight of the newest interval in a line's pace."""
_OFFERED = 4
"""Actions of one namespace whose next is offered at one look; other ones at the next, if none of them fits."""


class _Line(Generic[T]):
    """What one namespace has waiting, by action, and how fast it is served."""

    __slots__ = ("_turns", "length", "pace_s", "served_at")

    def __init__(self) -> None:
        self._turns: OrderedDict[str, deque[T]] = OrderedDict()
        self.length = 0
        self.pace_s: float | None = None
        self.served_at: float | None = None

    def push(self, action: str, entry: T) -> None:
        self._turns.setdefault(action, deque()).append(entry)
        self.length += 1

    def heads(self) -> list[tuple[str, T]]:
        return [(action, entries[0]) for action, entries in islice(self._turns.items(), _OFFERED)]

    def pass_over(self, actions: Iterable[str]) -> None:
        """None of these fits now: others are offered at the next look, if there are."""
        if len(self._turns) > _OFFERED:
            for action in actions:
                self._turns.move_to_end(action)

    def serve(self, action: str, now: float) -> None:
        """Its head goes; the action's next turn is after all others'."""
        entries = self._turns[action]
        self._turns.move_to_end(action)
        self._drop(action, entries, entries[0])
        if self.served_at is not None:
            took = now - self.served_at
            self.pace_s = took if self.pace_s is None else self.pace_s + _WEIGHT * (took - self.pace_s)
        self.served_at = now

    def remove(self, action: str, entry: T) -> bool:
        entries = self._turns.get(action)
        if entries is None or entry not in entries:
            return False
        self._drop(action, entries, entry)
        return True

    def _drop(self, action: str, entries: deque[T], entry: T) -> None:
        entries.remove(entry)
        self.length -= 1
        if not entries:
            del self._turns[action]

    def expected_s(self, action: str, now: float) -> float:
        """How long one more entry would wait; 0 as long as nothing is known, or nothing of the action waits: it is offered at
        once, whatever else of the namespace fits nowhere."""
        if self.pace_s is None or self.served_at is None or action not in self._turns:
            return 0.0
        return max(self.pace_s * self._ahead(action), now - self.served_at)

    def _ahead(self, action: str) -> int:
        """Entries that are served before one more of this action: its own, and as many turns of each other's."""
        own = len(self._turns[action])
        return own + sum(min(len(entries), own + 1) for other, entries in self._turns.items() if other != action)


class FairQueue(Generic[T]):
    """One line for each namespace; lines are served in turn, so a long one does not hold up others, nor do many calls of one
    action hold up those of another.

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
        if line is not None and line.length + count > self._max_per_namespace:
            return f"the queue of namespace '{namespace}' is full ({self._max_per_namespace})"
        return None

    def expected_s(self, namespace: str, action: str, now: float) -> float:
        """How long one more entry would wait, from the pace at which the namespace's line is served."""
        line = self._lines.get(namespace)
        return 0.0 if line is None else line.expected_s(action, now)

    def push(self, namespace: str, action: str, entry: T) -> None:
        line = self._lines.get(namespace)
        if line is None:
            line = self._lines[namespace] = _Line()
        line.push(action, entry)
        self._length += 1

    def pop_first(self, takes: Callable[[T], bool], now: float = 0.0) -> bool:
        """Offer what is next in each line, in turn, until one is taken; False if none was."""
        for namespace in list(self._lines):
            line = self._lines[namespace]
            heads = line.heads()
            for action, entry in heads:
                if takes(entry):
                    line.serve(action, now)
                    self._length -= 1
                    self._lines.move_to_end(namespace)
                    self._forget_empty(namespace)
                    return True
            line.pass_over(action for action, _ in heads)
        return False

    def remove(self, namespace: str, action: str, entry: T) -> bool:
        line = self._lines.get(namespace)
        if line is None or not line.remove(action, entry):
            return False
        self._length -= 1
        self._forget_empty(namespace)
        return True

    def _forget_empty(self, namespace: str) -> None:
        if not self._lines[namespace].length:
            del self._lines[namespace]
