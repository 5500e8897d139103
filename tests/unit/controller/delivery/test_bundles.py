"""How what is appended in one turn becomes bundles."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import Discarded, Entry, Noted
from upwhisk.controller.delivery.bundles import Part, parted, size_of


def part(size: int, *, with_next: bool = False) -> Part[int]:
    return Part([Noted(activation_id=ActivationId(""), progress=b"x" * size)], size, with_next)


def weight(entries: Sequence[Entry]) -> int:
    return sum(len(entry.progress) for entry in entries if isinstance(entry, Noted))


def sizes(parts: list[Part[int]], limit: int = 10) -> list[list[int]]:
    return [[one.done for one in bundle] for bundle in parted(parts, limit, weight)]


def test_small_ones_go_together() -> None:
    assert sizes([part(3), part(3), part(3)]) == [[3, 3, 3]]
    assert sizes([part(6), part(4), part(1)]) == [[6, 4], [1]]


def test_a_large_one_goes_alone() -> None:
    assert sizes([part(1), part(50), part(2)]) == [[1], [50], [2]]
    assert sizes([part(50)]) == [[50]]


def test_what_belongs_together_is_never_parted() -> None:
    assert sizes([part(6), part(3, with_next=True), part(4), part(2)]) == [[6], [3, 4, 2]]
    assert sizes([part(30, with_next=True), part(30)]) == [[30, 30]]


def test_nobody_follows() -> None:
    assert sizes([part(1), part(2, with_next=True)]) == [[1, 2]]
    assert sizes([]) == []


@given(st.lists(st.tuples(st.integers(0, 15), st.booleans()), max_size=20), st.integers(1, 30))
def test_nothing_is_lost_and_the_order_stays(given_: list[tuple[int, bool]], limit: int) -> None:
    parts = [part(size, with_next=joined) for size, joined in given_]
    bundles = list(parted(parts, limit, weight))
    assert [one for bundle in bundles for one in bundle] == parts
    for bundle in bundles[:-1]:
        assert not bundle[-1].with_next


def test_the_size_is_that_on_the_bus() -> None:
    assert size_of([Discarded(activation_id=ActivationId("1" * 32))]) < 200
    assert size_of([Noted(activation_id=ActivationId(""), progress=b"x" * 5000)]) > 5000
