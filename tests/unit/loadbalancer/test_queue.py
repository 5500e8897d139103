from __future__ import annotations

from upwhisk.loadbalancer.queue import FairQueue


def test_lines_are_served_in_turn() -> None:
    queue: FairQueue[str] = FairQueue(100, 100)
    for i in range(3):
        queue.push("a", f"a{i}")
    queue.push("b", "b0")
    served: list[str] = []

    def takes(entry: str) -> bool:
        served.append(entry)
        return True

    while queue.pop_first(takes):
        pass
    assert served == ["a0", "b0", "a1", "a2"]
    assert len(queue) == 0


def test_what_does_not_fit_does_not_hold_up_others() -> None:
    queue: FairQueue[str] = FairQueue(100, 100)
    queue.push("big", "big")
    queue.push("small", "small")
    assert queue.pop_first(lambda entry: entry == "small")
    assert not queue.pop_first(lambda entry: entry == "small")
    assert len(queue) == 1


def test_bounds() -> None:
    queue: FairQueue[int] = FairQueue(3, 2)
    queue.push("a", 1)
    queue.push("a", 2)
    assert "namespace 'a'" in (queue.refusal("a") or "")
    assert queue.refusal("b") is None
    queue.push("b", 3)
    assert queue.refusal("c") == "the queue is full (3)"


def test_removal() -> None:
    queue: FairQueue[int] = FairQueue(3, 2)
    queue.push("a", 1)
    assert queue.remove("a", 1)
    assert not queue.remove("a", 1)
    assert not queue.waiting("a")


def test_the_wait_to_be_expected() -> None:
    queue: FairQueue[int] = FairQueue(1000, 1000)
    for number in range(300):
        queue.push("slow", number)
    queue.push("quick", 0)
    assert queue.expected_s("slow", 0.0) == 0.0, "nothing is known yet"
    for second in range(100):
        assert queue.pop_first(lambda entry: True, float(second))
        if second == 1:
            queue.push("quick", 0)
    assert 190 < queue.expected_s("slow", 99.0) < 220
    assert queue.expected_s("slow", 999.0) == 900.0, "it has stood still since"
    assert queue.expected_s("nobody", 99.0) == 0.0
