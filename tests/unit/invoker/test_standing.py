"""Whether a node is a member by its own clock, and what it takes and starts."""

from __future__ import annotations

import msgspec
from fakes.samples import message

from upwhisk.common.forms import Unreadable
from upwhisk.common.messages import ActivationMessage
from upwhisk.invoker import standing as module
from upwhisk.invoker.standing import Standing, Take


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def joined() -> tuple[Standing, Clock]:
    clock = Clock()
    standing = Standing(3.0, clock, "p")
    assert not standing.is_member
    assert not standing.lapse()
    standing.renewed(clock.now)
    return standing, clock


def handed(standing: Standing, dispatch: int = 1, **fields: str) -> ActivationMessage:
    given = {"incarnation": standing.incarnation, **fields}
    return msgspec.structs.replace(message(), dispatch=dispatch, **given)


def test_the_lease_counts_from_before_the_heartbeat_was_sent() -> None:
    standing, clock = joined()
    sent_at = clock.now
    clock.now += 2.9
    assert standing.is_member
    standing.renewed(sent_at)
    clock.now += 0.1
    assert not standing.is_member


def test_a_lease_that_ran_out_is_another_incarnation() -> None:
    standing, clock = joined()
    before = standing.incarnation
    clock.now += 2
    assert not standing.lapse()
    standing.renewed(clock.now)
    clock.now += 3
    assert standing.lapse()
    assert standing.incarnation != before
    assert not standing.is_member
    standing.renewed(clock.now)
    assert standing.is_member


def test_a_confirmation_that_comes_after_the_lease_renews_nothing() -> None:
    standing, clock = joined()
    clock.now += 2.5
    sent_at = clock.now
    clock.now += 1
    standing.renewed(sent_at)
    assert not standing.is_member, "it may have been given up before that heartbeat was heard"
    assert standing.lapse()


def test_an_incarnation_is_said_once_until_it_is_confirmed() -> None:
    standing, clock = joined()
    clock.now += 5
    standing.lapse()
    first = standing.incarnation
    assert standing.lapse(), "the first heartbeat may have been heard, and given up since"
    assert standing.incarnation != first


def test_only_a_member_starts_and_only_what_it_was_handed_as_such() -> None:
    standing, clock = joined()
    work = handed(standing)
    assert standing.may_start(work)
    clock.now += 4
    assert not standing.may_start(work)
    standing.lapse()
    standing.renewed(clock.now)
    assert standing.is_member
    assert not standing.may_start(work)


def test_who_leaves_starts_nothing_any_more() -> None:
    standing, _ = joined()
    work = handed(standing)
    standing.resign()
    assert not standing.is_of_now(work)
    assert not standing.is_member


def test_a_hand_over_is_had_once() -> None:
    standing, clock = joined()
    work = handed(standing)
    assert standing.take(work) is Take.RUN
    assert standing.take(work) is Take.DROP
    standing.finished(work)
    assert standing.take(work) is Take.DROP
    assert standing.take(handed(standing, dispatch=2)) is Take.RUN
    clock.now += 4
    standing.lapse()
    assert standing.take(work) is Take.DROP, "it is the same process"


def test_what_a_former_incarnation_never_had_is_given_back() -> None:
    standing, clock = joined()
    work = handed(standing)
    clock.now += 4
    standing.lapse()
    assert standing.take(work) is Take.RETURN
    assert standing.take(work) is Take.DROP


def test_what_another_process_was_handed_is_not_ours_to_speak_of() -> None:
    standing, _ = joined()
    assert standing.take(handed(standing, incarnation="q.0")) is Take.DROP


def test_only_what_is_finished_is_forgotten() -> None:
    standing, _ = joined()
    long = handed(standing)
    standing.take(long)
    for _ in range(module.REMEMBERED + 10):
        other = handed(standing)
        standing.take(other)
        standing.finished(other)
    assert standing.take(long) is Take.DROP


def test_changes_are_told() -> None:
    standing, clock = joined()
    told: list[str] = []
    standing.on_change(lambda: told.append(standing.incarnation))
    standing.renewed(clock.now)
    clock.now += 4
    standing.lapse()
    standing.resign()
    assert told == ["p.0", "p.1", "p.2"]


def test_what_is_not_read_is_taken_by_the_same_rules() -> None:
    standing, _ = joined()
    unread = Unreadable(type="activation", activation_id=message().activation_id, dispatch=1, incarnation=standing.incarnation)
    assert standing.take(msgspec.structs.replace(unread, incarnation="another.0")) is Take.DROP
    assert standing.take(unread) is Take.RUN
    assert standing.take(unread) is Take.DROP
    standing.finished(unread)
    assert standing.take(unread) is Take.DROP
