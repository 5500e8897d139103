"""How far a topic is consumed. Pure.

Deliveries are finished in any order; the broker keeps one offset. So the position only moves over the unbroken row of
finished deliveries at the front, and what is finished behind it is remembered here, as long as the process lives.
"""

from __future__ import annotations

from collections import deque


class Progress:
    """`position`: the first offset that is not finished, None before the first `begin`."""

    __slots__ = ("_finished", "_taken", "position")

    def __init__(self) -> None:
        self.position: int | None = None
        self._taken: deque[int] = deque()
        self._finished: set[int] = set()

    def begin(self, committed: int) -> int:
        """Deliveries begin anew; `committed`: where the broker says that consumption stands. Returns the offset to
        read from."""
        self._taken.clear()
        self.position = committed if self.position is None else max(self.position, committed)
        self._finished = {offset for offset in self._finished if offset >= self.position}
        return self.position

    def __len__(self) -> int:
        """Deliveries that are open, or finished behind an open one."""
        return len(self._taken)

    def take(self, offset: int) -> bool:
        """Read from the log, in order of the offsets. False: it is finished already."""
        if offset in self._finished:
            if self._taken:
                self._taken.append(offset)
            else:
                self._finished.discard(offset)
                self.position = offset + 1
            return False
        if not self._taken:
            self.position = offset
        self._taken.append(offset)
        return True

    def finish(self, offset: int) -> bool:
        """True if the position moved. Twice is harmless."""
        if self.position is None or offset < self.position:
            return False
        self._finished.add(offset)
        before = self.position
        while self._taken and self._taken[0] in self._finished:
            done = self._taken.popleft()
            self._finished.discard(done)
            self.position = self._taken[0] if self._taken else done + 1
        return self.position != before
