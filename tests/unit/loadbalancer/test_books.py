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


def test_controllers_share_a_node() -> None:
    book = NodeBook("0", 2048, share=1.0, controllers=2)
    assert [book.take(KEY, demand()) is not None for _ in range(5)] == [True] * 4 + [False]
    book.resize(2048, 1)
    assert book.take(KEY, demand()) is not None


def test_an_idle_node_takes_one_container_however_many_share_it() -> None:
    book = NodeBook("0", 512, controllers=8)
    assert book.budget_mb == 64
    first = book.take(KEY, demand(memory_mb=512))
    assert first is not None
    assert book.refusal(KEY, demand()) == "no permit free"
    first.release()
    assert book.take(KEY, demand(memory_mb=513)) is None
    assert book.take(KEY, demand()) is not None


def test_a_part_that_shrinks_below_what_is_booked_refuses_until_it_is_back() -> None:
    book = NodeBook("0", 2048, share=1.0)
    held = [book.take(KEY, demand()) for _ in range(8)]
    book.resize(2048, 4)
    assert (book.used_mb, book.free_mb) == (2048, -1536)
    for permit in held[:6]:
        assert book.refusal(KEY, demand()) == "no permit free"
        assert permit is not None
        permit.release()
    assert book.refusal(KEY, demand()) == "no permit free"
    assert held[6] is not None
    held[6].release()
    assert book.take(KEY, demand()) is not None


def test_adopted_work_is_booked_whatever_there_is() -> None:
    book = NodeBook("0", 0)
    permits = [book.force(KEY, demand(concurrency=2)) for _ in range(3)]
    assert (book.used_mb, book.permits) == (512, 3)
    assert book.take(KEY, demand(concurrency=2)) is not None, "the slot left in a container is free"
    assert book.take(KEY, demand()) is None
    for permit in permits:
        permit.release()
    assert book.permits == 1


def test_a_namespace_has_its_share_of_the_part_of_its_controller() -> None:
    book = NodeBook("0", 256 * 32, controllers=2)
    held = [book.take(KEY, demand()) for _ in range(16)]
    assert sum(permit is not None for permit in held) == 14
    assert book.heavy == {"ns"}


def test_changes_are_told_once() -> None:
    book = NodeBook("0", 1024)
    sink: list[NodeBook] = []
    book.sink = sink
    permits = [book.take(KEY, demand(concurrency=2)) for _ in range(2)]
    assert sink == [book]
    assert list(book.changed) == [KEY]
    sink.clear()
    book.clean()
    assert permits[0] is not None
    permits[0].release()
    permits[0].release()
    assert sink == [book]
