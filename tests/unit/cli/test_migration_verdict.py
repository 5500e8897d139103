"""What is copied, what is passed over, what is a conflict, and in which words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fakes.migrants import ALICE, KEY, LIMITS
from fakes.samples import document

from upwhisk.cli.migration_verdict import (
    KINDS,
    LISTED,
    Outcome,
    Tally,
    Verdict,
    decided,
    document_difference,
    limits_difference,
    subject_difference,
)
from upwhisk.common.model.identity import NamespaceKey


@pytest.mark.parametrize(
    ("different", "is_there", "overwrite", "verdict"),
    [
        (None, False, False, Verdict.COPIED),
        (None, False, True, Verdict.COPIED),
        (None, True, False, Verdict.SAME),
        (None, True, True, Verdict.SAME),
        ("keys", True, False, Verdict.CONFLICT),
        ("keys", True, True, Verdict.REPLACED),
    ],
)
def test_the_verdict(different: str | None, is_there: bool, overwrite: bool, verdict: Verdict) -> None:
    assert decided(different, is_there=is_there, overwrite=overwrite) is verdict


def test_subjects_that_differ_are_named_without_their_keys() -> None:
    other_key = NamespaceKey("alice", "u-1", "z" * 64)
    assert subject_difference(ALICE, None) is None
    assert subject_difference(ALICE, ALICE) is None
    changed = msgspec.structs.replace(ALICE, namespaces=(other_key, ALICE.namespaces[1]), blocked=True)
    assert subject_difference(ALICE, changed) == "keys, blocked"
    fewer = msgspec.structs.replace(ALICE, namespaces=(other_key,))
    assert subject_difference(ALICE, fewer) == "namespaces"
    for text in (subject_difference(ALICE, changed), subject_difference(ALICE, fewer)):
        assert KEY not in str(text)


def test_limits_that_differ_are_named() -> None:
    assert limits_difference(LIMITS, None) is None
    assert limits_difference(LIMITS, LIMITS) is None
    other = msgspec.structs.replace(LIMITS, fires_per_minute=1, max_payload_size="3 MB")
    assert limits_difference(LIMITS, other) == "firesPerMinute, maxPayloadSize"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"revision": "7-x"}, None),
        ({"updated": 1}, "updated"),
        ({"body": {"version": "0.0.2", "publish": True}}, "publish, version"),
        ({"attachment": b"other", "has_attachment": True}, "code"),
        ({"collection": "rules"}, "collection"),
    ],
)
def test_entities_that_differ(changes: dict[str, Any], named: str | None) -> None:
    mine = document()
    assert document_difference(mine, msgspec.structs.replace(mine, **changes)) == named
    assert document_difference(mine, None) is None


@pytest.mark.parametrize(("mine", "theirs"), [(True, 1), (1, 1.0), ([1], [True]), ({"a": None}, {})])
def test_values_that_python_takes_for_equal_are_not(mine: Any, theirs: Any) -> None:
    first, second = document(body={"v": mine}), document(body={"v": theirs})
    assert document_difference(first, second) == "v"


def test_the_order_of_keys_is_no_difference() -> None:
    first, second = document(body={"v": {"a": 1, "b": 2}}), document(body={"v": {"b": 2, "a": 1}})
    assert document_difference(first, second) is None


def test_the_tally_counts_all_and_lists_some() -> None:
    tally = Tally()
    tally.add([Outcome("rules", "guest/r", Verdict.COPIED), Outcome("rules", "guest/s", Verdict.SAME)])
    before = (tally.is_complete, tally.is_equal)
    tally.add(Outcome("subjects", f"s{n}", Verdict.CONFLICT, "keys") for n in range(LISTED + 5))
    assert [before, (tally.is_complete, tally.is_equal)] == [(True, False), (False, False)]
    assert (tally.total(), tally.total(Verdict.CONFLICT), len(tally.listed)) == (LISTED + 7, LISTED + 5, LISTED)
    rows = {row["kind"]: row for row in tally.rows()}
    assert tuple(rows) == KINDS
    assert rows["rules"] == {"kind": "rules", "read": 2, "copied": 1, "replaced": 0, "same": 1, "conflicts": 0, "refused": 0}


def test_only_what_is_all_the_same_is_equal() -> None:
    equal, unequal = Tally(), Tally()
    for tally in (equal, unequal):
        tally.add([Outcome("rules", "guest/s", Verdict.SAME)])
    unequal.add([Outcome("rules", "guest/t", Verdict.REFUSED)])
    assert [Tally().is_equal, equal.is_equal, unequal.is_equal] == [True, True, False]
