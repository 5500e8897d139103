"""Counts by bucket against what a plain count of the values gives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.histogram import SECONDS, Histogram


@given(st.lists(st.floats(0, 1000)))
def test_buckets_count_what_is_at_most_their_bound(values: list[float]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    buckets = dict(histogram.cumulative())
    for bound in SECONDS:
        assert buckets[str(bound)] == sum(value <= bound for value in values)
    assert buckets["+Inf"] == len(values)
    assert histogram.sum == sum(values)
