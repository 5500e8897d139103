"""Positions of consumption, against a model that remembers everything."""

from __future__ import annotations

from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from upwhisk.backends.bus.kafka.progress import Progress


class Consumption(RuleBasedStateMachine):
    """A log without gaps that is read, finished in any order, and read again from its position."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress()
        self.read_to = 0
        self.delivered: set[int] = set()
        self.done: set[int] = set()

    @initialize(start=st.integers(0, 3))
    def begin(self, start: int) -> None:
        self.read_to = self.progress.begin(start)
        self.done = set(range(start))

    @rule()
    def read(self) -> None:
        offset, self.read_to = self.read_to, self.read_to + 1
        assert self.progress.take(offset) == (offset not in self.done)
        self.delivered.add(offset)

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.delivered)))
        before = self.progress.position
        moved = self.progress.finish(offset)
        self.done.add(offset)
        assert moved == (self.progress.position != before)

    @rule(committed=st.integers(0, 40))
    def subscribe_again(self, committed: int) -> None:
        """Perhaps another process came further in the meantime."""
        position = self.progress.position
        assert position is not None
        expected = max(committed, position)
        assert self.progress.begin(committed) == expected
        self.read_to = expected
        self.done |= set(range(expected))

    @invariant()
    def the_position_is_the_first_that_is_not_done(self) -> None:
        position = self.progress.position
        if position is None:
            return
        assert all(offset in self.done for offset in range(position)), "nothing unfinished is passed"
        first_open = next(offset for offset in count() if offset not in self.done)
        assert position == min(first_open, self.read_to)

    @invariant()
    def little_is_remembered(self) -> None:
        assert len(self.progress) <= max(0, self.read_to - (self.progress.position or 0))


TestConsumption = Consumption.TestCase
TestConsumption.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_gaps_in_the_log_are_passed() -> None:
    progress = Progress()
    progress.begin(0)
    for offset in (0, 5, 9):
        assert progress.take(offset)
    assert progress.finish(5) is False
    assert progress.finish(0) is True
    assert progress.position == 9
    assert progress.finish(9)
    assert progress.position == 10
    assert not progress.finish(9)


def test_what_was_never_begun_moves_nothing() -> None:
    progress = Progress()
    assert not progress.finish(3)
    assert progress.position is None
