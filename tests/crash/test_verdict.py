"""The judge of the crash rounds sees what it is there to see."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from crash.load import Given
from crash.verdict import STARTED, Record, Seen, violations


def record(id_: str, name: str, result: Any = None, status: str = "success", **fields: Any) -> Record:
    response = {"status": status, "success": status == "success", "result": {} if result is None else result}
    return {"activationId": id_, "name": name, "response": response, "logs": [], "annotations": [], **fields}


def good() -> Seen:
    records = [
        record("a", "quick"),
        record("s", "inner", {"n": 2}, logs=["c1", "c2"]),
        record("c1", "step", {"n": 1}, cause="s"),
        record("c2", "retrying_step", {"n": 2}, cause="s"),
        record("b", "sleeper", {"error": STARTED}, "whisk internal error"),
    ]
    given = [Given("a", "quick", "t1", 202), Given("s", "inner", "t2", 202), Given("b", "sleeper", "t3", 202)]
    got = {r["activationId"]: r for r in records}
    return Seen(given, got, Counter(list(got)), restarts=1, capacity=2, guests_killed=False)


def without(id_: str) -> Callable[[Seen], Seen]:
    return lambda seen: changed_seen(seen, got={k: v for k, v in seen.got.items() if k != id_})


def changed(id_: str, **fields: Any) -> Callable[[Seen], Seen]:
    return lambda seen: changed_seen(seen, got={**seen.got, id_: {**seen.got[id_], **fields}})


def changed_seen(seen: Seen, **fields: Any) -> Seen:
    return dataclasses.replace(seen, **fields)


def test_nothing_is_wrong_with_what_is_right() -> None:
    assert list(violations(good(), {("t2", "step", 0): 1, ("t2", "retrying_step", 1): 3})) == []


@pytest.mark.parametrize("effect", [("t1", "quick", 0), ("t2", "step", 0)])
def test_a_second_run_is_seen(effect: tuple[str, str, int]) -> None:
    assert list(violations(good(), {effect: 2})) == [f"ran 2 times: {effect}"]


def test_a_fourth_run_of_retry_safe_work_is_seen() -> None:
    assert len(list(violations(good(), {("t2", "retrying_step", 1): 4}))) == 1


FAILED = record("a", "quick", {"error": "out of order"}, "whisk internal error")["response"]
LOST = record("c2", "retrying_step", {"error": STARTED}, "whisk internal error")["response"]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (without("a"), "no record"),
        (without("c1"), "no record of its component"),
        (lambda seen: changed_seen(seen, listed=seen.listed + Counter("a")), "listed 2 times"),
        (lambda seen: changed_seen(seen, listed=seen.listed - Counter("a")), "listed 0 times"),
        (lambda seen: changed_seen(seen, given=[*seen.given, seen.given[0]]), "was given 2 times"),
        (lambda seen: changed_seen(seen, capacity=0), "ended as started"),
        (changed("a", name="sleeper"), "the record of another"),
        (changed("a", response=FAILED), "quick ended as"),
        (changed("c1", cause="x"), "its cause is"),
        (changed("c2", response=LOST), "retrying_step ended as"),
        (changed("s", logs=["c1", "c1"]), "names a component twice"),
        (changed("s", logs=["c2", "c1"]), "ran ["),
        (changed("s", response=FAILED), "failed by itself"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_wrong_is_seen(spoil: Callable[[Seen], Seen], says: str) -> None:
    found = list(violations(spoil(good()), {}))
    assert any(says in one for one in found), found
