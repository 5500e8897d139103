"""Whether a node still answers for what it was handed, and what its answers mean."""

from __future__ import annotations

import pytest
from fakes.samples import record

from upwhisk.common.forms import Unreadable
from upwhisk.common.ids import ActivationId, NodeId
from upwhisk.common.messages import Completion, Returned
from upwhisk.loadbalancer.presence import Meaning, Presence, meaning_of, presence

ID = ActivationId("1" * 32)


@pytest.mark.parametrize(
    ("now", "known", "found"),
    [
        ("p.0", True, Presence.HERE),
        ("p.4", True, Presence.HERE),
        ("q.0", True, Presence.GONE),
        (None, True, Presence.GONE),
        (None, False, Presence.ABSENT),
    ],
)
def test_a_process_answers_for_all_it_was_handed(now: str | None, known: bool, found: Presence) -> None:
    assert presence("p.0", now, known=known) is found


def completion(dispatch: int) -> Completion:
    return Completion(activation_id=ID, node=NodeId("a"), attempt=1, dispatch=dispatch, record=record(ID))


@pytest.mark.parametrize(
    ("dispatch", "counted", "meaning"),
    [
        (2, None, Meaning.ENDED),
        (1, None, Meaning.LATE),
        (1, True, Meaning.ENDED),
        (2, False, Meaning.LATE),
    ],
)
def test_the_log_decides_on_outcomes(dispatch: int, counted: bool | None, meaning: Meaning) -> None:
    assert meaning_of(completion(dispatch), 2, handed=True, counted=counted) is meaning
    assert meaning_of(completion(dispatch), 2, handed=False, counted=counted) is meaning


@pytest.mark.parametrize("counted", [True, False])
def test_a_return_is_of_the_last_hand_over(counted: bool) -> None:
    def returned(dispatch: int, *, handed: bool) -> Meaning:
        said = Returned(activation_id=ID, node=NodeId("a"), attempt=1, dispatch=dispatch, reason="")
        return meaning_of(said, 2, handed=handed, counted=counted)

    assert returned(2, handed=True) is Meaning.NOT_STARTED
    assert returned(1, handed=True) is Meaning.LATE
    assert returned(2, handed=False) is Meaning.LATE


@pytest.mark.parametrize(("said", "meaning"), [("completion", Meaning.UNKNOWN), ("returned", Meaning.NOT_STARTED)])
@pytest.mark.parametrize("counted", [True, False])
def test_what_is_not_read_is_of_the_last_hand_over_too(said: str, meaning: Meaning, counted: bool) -> None:
    def unread(dispatch: int, *, handed: bool) -> Meaning:
        answer = Unreadable(type=said, activation_id=ID, dispatch=dispatch)
        return meaning_of(answer, 2, handed=handed, counted=counted)

    assert unread(2, handed=True) is meaning
    assert unread(1, handed=True) is Meaning.LATE
    assert unread(2, handed=False) is Meaning.LATE
