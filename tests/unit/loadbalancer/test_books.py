"""Permits: what is taken comes back exactly once, whatever the order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.messages import Demand
from upwhisk.loadbalancer.books import NodeBook, Permit


def demand(concurrency: int = 1, memory_mb: int = 256) -> Demand:
    return Demand(kind="python:3.11", memory_mb=memory_mb, timeout_ms=1000, concurrency=concurrency)


KEY = ("ns", "ns/a", "1")


def test_memory_bounds_permits() -> None:
    book = NodeBook("0", 512, share=1.0)
    first, second = book.take(KEY, demand()), book.take(KEY, demand())
    assert first is not None
    assert second is not None
    assert book.take(KEY, demand()) is None
    first.release()
    first.release()
    assert book.used_mb == 256


def test_one_namespace_leaves_room_for_others() -> None:
    book = NodeBook("0", 256 * 16)
    held = [book.take(KEY, demand()) for _ in range(16)]
    assert sum(p is not None for p in held) == 14
    assert book.refusal(KEY, demand()) == "namespace holds its share"
    assert book.take(("other", "other/a", "1"), demand()) is not None


def test_a_small_node_is_first_come_first_served() -> None:
    book = NodeBook("0", 512)
    assert book.take(KEY, demand()) is not None
    assert book.take(KEY, demand()) is not None


def test_concurrent_activations_share_a_container() -> None:
    book = NodeBook("0", 512, share=1.0)
    permits = [book.take(KEY, demand(concurrency=3)) for _ in range(7)]
    assert [p is not None for p in permits] == [True] * 6 + [False]
    assert book.used_mb == 512


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([1, 2, 5]), st.booleans()), max_size=60))
def test_books_are_empty_when_all_is_returned(steps: list[tuple[int, int, bool]]) -> None:
    book = NodeBook("0", 2048)
    open_: list[Permit] = []
    for action, concurrency, back in steps:
        if back and open_:
            open_.pop(action % len(open_)).release()
            continue
        permit = book.take((f"ns{action}", f"ns/a{concurrency}", "1"), demand(concurrency))
        if permit is not None:
            open_.append(permit)
        assert 0 <= book.used_mb <= 2048
    for permit in open_:
        permit.release()
    assert book.used_mb == 0
    assert not book._by_namespace
    assert not book._shared
