"""Sets of nodes as sorted numbers and as bits, against the plain way."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from upwhisk.loadbalancer.pools import (
    LAST_SEAT,
    first_seats,
    first_with,
    last_outside,
    nth_outside,
    seat_of,
)

numbers = st.integers(0, 60)


@given(st.sets(numbers, min_size=1), st.data(), numbers)
def test_what_is_not_excluded(keys: set[int], data: st.DataObject, least: int) -> None:
    ordered = array("q", sorted(keys))
    fitting = [key for key in ordered if key >= least]
    inside = data.draw(st.sets(st.sampled_from(fitting))) if fitting else set()
    floor = len(ordered) - len(fitting)
    outside = [key for key in fitting if key not in inside]
    excluded = array("q", sorted(inside))
    assert last_outside(ordered, floor, excluded) == (outside[-1] if outside else None)
    for nth in range(len(outside) + 2):
        assert nth_outside(ordered, floor, excluded, nth) == (outside[nth] if nth < len(outside) else None)


@given(st.sets(st.integers(0, 1200)), st.integers(0, 1200), st.integers(1, 9))
def test_the_first_bits_from_one_on_and_round(seats: set[int], start: int, most: int) -> None:
    mask = sum(1 << seat for seat in seats)
    ordered = sorted(seats)
    expected = [seat for seat in ordered if seat >= start] + [seat for seat in ordered if seat < start]
    assert first_seats(mask, start, most) == expected[:most]


@given(st.integers(-5000, 5000), st.integers(0, LAST_SEAT), st.integers(-5000, 5000))
def test_the_order_of_keys_is_that_of_free_memory(free_mb: int, seat: int, asked_mb: int) -> None:
    key = first_with(free_mb) + LAST_SEAT - seat
    assert seat_of(key) == seat
    assert (key >= first_with(asked_mb)) == (free_mb >= asked_mb)
