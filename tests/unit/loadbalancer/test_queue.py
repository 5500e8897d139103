from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import given
from hypothesis import strategies as st

from upwhisk.loadbalancer.queue import FairQueue

T = TypeVar("T")


def test_lines_are_served_in_turn() -> None:
    queue: FairQueue[str] = FairQueue(100, 100)
    for i in range(3):
        queue.push("a", "x", f"a{i}")
    queue.push("b", "x", "b0")
    served = served_in_turn(queue)
    assert served == ["a0", "b0", "a1", "a2"]
    assert len(queue) == 0


def test_many_calls_of_one_action_do_not_hold_up_another_of_its_namespace() -> None:
    queue: FairQueue[str] = FairQueue(1000, 1000)
    for i in range(400):
        queue.push("a", "batch", f"batch{i}")
    queue.push("a", "quick", "quick")
    served = served_in_turn(queue)
    assert served.index("quick") <= 1
    assert [one for one in served if one != "quick"] == [f"batch{i}" for i in range(400)]


def test_an_action_that_does_not_fit_does_not_hold_up_another_of_its_namespace() -> None:
    queue: FairQueue[str] = FairQueue(100, 100)
    queue.push("a", "big", "big")
    queue.push("a", "small", "small")
    assert queue.pop_first(lambda entry: entry == "small")
    assert len(queue) == 1


def test_the_wait_to_be_expected_is_that_of_the_action() -> None:
    queue: FairQueue[str] = FairQueue(1000, 1000)
    for i in range(200):
        queue.push("a", "batch", f"batch{i}")
    for second in range(100):
        assert queue.pop_first(lambda entry: True, float(second))
    assert queue.expected_s("a", "batch", 99.0) == 100.0
    assert queue.expected_s("a", "quick", 99.0) == 0.0
    queue.push("a", "quick", "quick")
    assert queue.expected_s("a", "quick", 99.0) == 3.0, "its own, and two of the others"


def test_what_fits_nowhere_makes_nobody_wait_who_fits() -> None:
    queue: FairQueue[str] = FairQueue(1000, 1000)
    queue.push("a", "big", "big")
    for second in (1.0, 2.0):
        queue.push("a", "small", "small")
        assert queue.pop_first(lambda entry: entry == "small", second)
    assert queue.expected_s("a", "small", 100.0) == 0.0
    assert queue.expected_s("a", "big", 100.0) == 98.0


def test_many_that_fit_nowhere_do_not_hide_one_that_does() -> None:
    queue: FairQueue[str] = FairQueue(1000, 1000)
    for number in range(50):
        queue.push("a", f"big{number}", "big")
    queue.push("a", "small", "small")
    looks = 0
    while not queue.pop_first(lambda entry: entry == "small"):
        looks += 1
        assert looks < 50


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20), st.booleans()), max_size=200))
def test_what_goes_in_comes_out_once_and_in_order(steps: list[tuple[int, int, bool]]) -> None:
    queue: FairQueue[tuple[str, str, int]] = FairQueue(1000, 1000)
    waiting: dict[tuple[str, str], list[int]] = {}
    served: list[tuple[str, str, int]] = []
    for number, (namespace, action, comes) in enumerate(steps):
        key = f"n{namespace}", f"a{action}"
        if comes:
            queue.push(*key, (*key, number))
            waiting.setdefault(key, []).append(number)
        elif queue.pop_first(into(served)):
            *where, first = served[-1]
            assert waiting[where[0], where[1]].pop(0) == first
        assert len(queue) == sum(map(len, waiting.values()))


def into(served: list[T]) -> Callable[[T], bool]:
    """Takes everything."""

    def takes(entry: T) -> bool:
        served.append(entry)
        return True

    return takes


def served_in_turn(queue: FairQueue[str]) -> list[str]:
    served: list[str] = []
    while queue.pop_first(into(served)):
        pass
    return served


def test_what_does_not_fit_does_not_hold_up_others() -> None:
    queue: FairQueue[str] = FairQueue(100, 100)
    queue.push("big", "x", "big")
    queue.push("small", "x", "small")
    assert queue.pop_first(lambda entry: entry == "small")
    assert not queue.pop_first(lambda entry: entry == "small")
    assert len(queue) == 1


def test_bounds() -> None:
    queue: FairQueue[int] = FairQueue(3, 2)
    queue.push("a", "x", 1)
    queue.push("a", "x", 2)
    assert "namespace 'a'" in (queue.refusal("a") or "")
    assert queue.refusal("b") is None
    queue.push("b", "x", 3)
    assert queue.refusal("c") == "the queue is full (3)"


def test_removal() -> None:
    queue: FairQueue[int] = FairQueue(3, 2)
    queue.push("a", "x", 1)
    assert queue.remove("a", "x", 1)
    assert not queue.remove("a", "x", 1)
    assert len(queue) == 0
    assert queue.refusal("a", 2) is None


def test_the_wait_to_be_expected() -> None:
    queue: FairQueue[int] = FairQueue(1000, 1000)
    for number in range(300):
        queue.push("slow", "x", number)
    queue.push("quick", "x", 0)
    assert queue.expected_s("slow", "x", 0.0) == 0.0, "nothing is known yet"
    for second in range(100):
        assert queue.pop_first(lambda entry: True, float(second))
        if second == 1:
            queue.push("quick", "x", 0)
    assert 190 < queue.expected_s("slow", "x", 99.0) < 220
    assert queue.expected_s("slow", "x", 999.0) == 900.0, "it has stood still since"
    assert queue.expected_s("nobody", "x", 99.0) == 0.0
