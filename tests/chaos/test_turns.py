"""A storm's turns: all kinds alike, a third of them during a recovery, nobody struck who is down."""

from __future__ import annotations

import random
from collections import Counter

from chaos.turns import Turns
from hypothesis import given
from hypothesis import strategies as st


@given(kinds=st.integers(1, 22), rounds=st.integers(1, 20), seed=st.integers())
def test_each_kind_has_its_turns_and_a_third_come_during_a_recovery(kinds: int, rounds: int, seed: int) -> None:
    turns = Turns([f"k{n}" for n in range(kinds)], rounds, random.Random(seed))
    struck: Counter[str] = Counter()
    in_recovery = 0
    while (first := turns.first(str)) is not None:
        second = turns.second(str)
        struck.update(one for one in (first, second) if one is not None)
        in_recovery += second is not None
    assert struck == {f"k{n}": rounds for n in range(kinds)}
    assert in_recovery == (sum(struck.values()) + 1) // 3


def test_a_kind_without_a_victim_keeps_its_turn_and_what_was_missed_is_made_up_for() -> None:
    turns = Turns(["a", "b"], 3, random.Random(1))
    assert turns.first(lambda kind: kind if kind == "a" else None) == "a"
    assert turns.second(lambda kind: None) is None
    seen = [turns.first(str) for _ in range(2)]
    assert turns.second(str) is not None
    assert turns.second(str) is not None or len(turns) == 0
    rest = [turns.first(str) for _ in range(len(turns))]
    assert None not in seen + rest
    assert turns.first(str) is None
