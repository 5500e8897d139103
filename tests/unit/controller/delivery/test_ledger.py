"""What counts in a controller's log, rule by rule."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import msgspec
import pytest
from fakes.samples import message, record

from upwhisk.common.forms import Unreadable
from upwhisk.common.ids import ActivationId, ControllerId, NodeId
from upwhisk.common.messages import (
    STATES,
    TAKES_OVER,
    Accepted,
    ActivationMessage,
    Begun,
    Bundle,
    Completion,
    Discarded,
    Dispatched,
    Entry,
    Noted,
    Returned,
    Settled,
)
from upwhisk.controller.delivery.ledger import Applied, Ledger, Work, carried, may_be_carried, retells

OWNER, OTHER = ControllerId("one"), ControllerId("two")
ID = ActivationId("1" * 32)


class Log:
    """A ledger with one owner who writes."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self._places = count()
        self.apply(Bundle(owner=OWNER, number=TAKES_OVER))

    def apply(self, said: Any) -> Applied:
        return self.ledger.apply(said, next(self._places))

    def write(self, *entries: Entry, owner: ControllerId = OWNER) -> Applied:
        return self.apply(Bundle(owner=owner, number=1, entries=entries))

    def accept(self, **fields: Any) -> Applied:
        return self.write(Accepted(messages=(work(**fields),)))

    def hand(self, dispatch: int, attempt: int = 1, node: str = "a") -> bool:
        entry = Dispatched(
            activation_id=ID, node=NodeId(node), incarnation=f"{node}.0", dispatch=dispatch, attempt=attempt
        )
        return self.write(entry).results[0]

    def begin(self, dispatch: int, attempt: int = 1) -> bool:
        return self.apply(Begun(activation_id=ID, node=NodeId("a"), attempt=attempt, dispatch=dispatch)).counted

    def give_back(self, dispatch: int, attempt: int = 1, *, started: bool = False) -> bool:
        said = Returned(
            activation_id=ID, node=NodeId("a"), attempt=attempt, dispatch=dispatch, reason="", started=started
        )
        return self.apply(said).counted

    def complete(self, dispatch: int, **fields: Any) -> Applied:
        made = record(ID, result={"by": dispatch})
        return self.apply(
            Completion(activation_id=ID, node=NodeId("a"), attempt=1, dispatch=dispatch, record=made, **fields)
        )

    @property
    def attempt(self) -> int:
        return self.ledger.pending[ID].attempt


def work(**fields: Any) -> ActivationMessage:
    return msgspec.structs.replace(message(ID), **fields)


@pytest.fixture
def log() -> Log:
    return Log()


def test_only_the_last_owner_counts(log: Log) -> None:
    assert not log.write(Accepted(messages=(work(),)), owner=OTHER).counted
    log.apply(Bundle(owner=OTHER, number=TAKES_OVER))
    assert not log.accept().counted
    assert not log.apply(Bundle(owner=OWNER, number=STATES)).states_owner
    assert log.write(Accepted(messages=(work(),)), owner=OTHER).kept == [ID]
    assert log.ledger.owner == OTHER


def test_a_reader_learns_the_owner_from_any_word() -> None:
    ledger = Ledger()
    assert not ledger.apply(Bundle(owner=OWNER, number=1), 70).counted
    assert ledger.apply(Bundle(owner=OWNER, number=STATES, word=7), 71).states_owner
    assert ledger.apply(Bundle(owner=OWNER, number=2), 72).counted


def test_a_topic_that_was_made_anew_is_nobodys() -> None:
    """A former owner writes to it who does not know yet that its log is gone."""
    ledger = Ledger()
    assert not ledger.apply(Bundle(owner=OWNER, number=STATES, word=7), 0).states_owner
    late = Bundle(owner=OWNER, number=9, entries=(Accepted(messages=(work(),)),))
    assert not ledger.apply(late, 1).counted
    assert ledger.apply(Bundle(owner=OTHER, number=TAKES_OVER), 2).states_owner
    assert ledger.pending == {}


def test_work_is_accepted_once(log: Log) -> None:
    assert log.accept().kept == [ID]
    log.hand(1)
    log.begin(1)
    assert log.accept().kept == []
    assert log.attempt == 1
    log.complete(1)
    assert log.accept().kept == []
    assert log.ledger.pending == {}


def test_an_acceptance_that_names_a_node_says_that_it_may_have_started(log: Log) -> None:
    log.accept(node=NodeId("a"), incarnation="a.0", dispatch=3, attempt=2)
    assert log.attempt == 2
    assert not log.hand(4, attempt=2)


def test_what_was_given_back_before_its_acceptance_has_not_started(log: Log) -> None:
    assert not log.give_back(3)
    assert not log.give_back(1)
    assert log.ledger.has_not_started(work(dispatch=3))
    assert not log.ledger.has_not_started(work(dispatch=2))
    log.accept(node=NodeId("a"), incarnation="a.0", dispatch=3)
    assert (log.attempt, log.ledger.pending[ID].message.node) == (0, "")
    assert log.hand(4)


def test_a_node_that_says_what_it_starts_has_not_started_what_it_does_not_say(log: Log) -> None:
    told, silent = work(dispatch=2, tells_start=True), work(dispatch=2)
    assert log.ledger.has_not_started(told)
    assert not log.ledger.has_not_started(silent), "of a release that says it of journalled work only"
    log.begin(1)
    assert log.ledger.has_not_started(told), "that was an earlier hand-over"
    assert not log.begin(2)
    assert not log.ledger.has_not_started(told)
    log.complete(2)
    assert log.ledger.has_not_started(told), "nothing is remembered of what has ended"


def test_what_a_node_broke_off_has_started(log: Log) -> None:
    log.accept(retry_safe=True)
    log.hand(1)
    log.begin(1)
    assert log.give_back(1, started=True)
    assert (log.attempt, log.ledger.pending[ID].message.node) == (1, "")
    assert not log.hand(2, attempt=1)
    assert log.hand(2, attempt=2)
    log.begin(2, attempt=2)
    assert log.attempt == 2


def test_what_was_broken_off_before_its_acceptance_has_started(log: Log) -> None:
    told = work(dispatch=1, tells_start=True)
    log.begin(1)
    log.give_back(1, started=True)
    assert not log.ledger.has_not_started(told)
    log.accept(node=NodeId("a"), incarnation="a.0", dispatch=1, retry_safe=True)
    assert (log.attempt, log.ledger.pending[ID].message.node) == (1, "")
    assert log.hand(2, attempt=2)


def test_an_acceptance_without_a_node_says_which_start_is_next(log: Log) -> None:
    log.accept(attempt=3, retry_safe=True)
    assert log.attempt == 2
    assert not log.hand(1, attempt=2)
    assert log.hand(1, attempt=3)


def test_only_the_return_of_the_last_hand_over_says_so(log: Log) -> None:
    log.give_back(2)
    log.accept(node=NodeId("a"), incarnation="a.0", dispatch=3)
    assert (log.attempt, log.ledger.pending[ID].message.node) == (1, "a")


def test_a_hand_over_counts_only_before_its_start_is_known(log: Log) -> None:
    log.accept()
    assert log.hand(1)
    assert log.begin(1)
    assert not log.hand(2, attempt=1), "who wrote this had not read that it started"
    assert log.ledger.pending[ID].message.dispatch == 1
    assert log.ledger.pending[ID].begun
    assert log.hand(2, attempt=2)
    assert not log.ledger.pending[ID].begun
    assert not log.hand(2, attempt=3)


def test_unknown_work_is_not_handed_over(log: Log) -> None:
    assert not log.hand(1)
    assert not log.begin(1)
    assert not log.write(Noted(activation_id=ID, progress=b"x")).results[0]


def test_a_new_hand_over_fences_the_former_one_off(log: Log) -> None:
    log.accept(retry_safe=True)
    log.hand(1)
    log.hand(2, node="b")
    assert not log.begin(1)
    assert not log.give_back(1)
    assert not log.complete(1).counted
    assert (log.attempt, log.ledger.pending[ID].message.node) == (0, "b")
    assert log.begin(2)
    assert log.complete(2).recorded[0].response.result == {"by": 2}


def test_what_a_node_gives_back_has_not_started(log: Log) -> None:
    log.accept()
    log.hand(1)
    log.begin(1)
    assert log.give_back(1)
    assert (log.attempt, log.ledger.pending[ID].message.node) == (0, "")
    assert log.hand(2, attempt=1)


def test_giving_back_takes_one_start_back(log: Log) -> None:
    log.accept(retry_safe=True)
    log.hand(1)
    log.begin(1)
    log.hand(2, attempt=2)
    log.begin(2, attempt=2)
    log.give_back(2, attempt=2)
    assert log.attempt == 1


def test_the_first_outcome_ends_it(log: Log) -> None:
    log.accept()
    log.hand(1)
    assert log.complete(1).recorded
    assert not log.complete(1).counted
    assert not log.write(Settled(record=record(ID))).results[0]
    assert not log.write(Discarded(activation_id=ID)).results[0]


def test_what_a_controller_ended_stays_so(log: Log) -> None:
    log.accept()
    log.hand(1)
    assert log.write(Settled(record=record(ID, result="lost"))).recorded[0].response.result == "lost"
    assert not log.complete(1).counted


def test_an_outcome_that_somebody_waited_for_counts_once(log: Log) -> None:
    assert log.complete(1).recorded
    assert not log.complete(1).counted
    log.accept(node=NodeId("a"), dispatch=1)
    assert log.ledger.pending == {}, "its acceptance came too late"


def test_a_late_outcome_of_accepted_work_is_known_by_itself(log: Log) -> None:
    """Who has not read its acceptance knows that it ended before, or is carried further on."""
    other = Log()
    other.accept()
    other.hand(1)
    other.hand(2)
    assert not log.complete(1, journalled=True).counted
    assert log.write(carried(other.ledger.pending[ID])).carried == [ID]
    assert log.complete(2, journalled=True).recorded


def test_what_somebody_waited_for_is_not_carried(log: Log) -> None:
    log.accept(node=NodeId("a"), dispatch=1, blocking=True)
    assert not may_be_carried(log.ledger.pending[ID])
    assert may_be_carried(Work(work()))


def test_a_namespace_without_records(log: Log) -> None:
    applied = log.complete(1, stored=False)
    assert (applied.recorded, applied.ended, applied.kept) == ([], [ID], [ID])


def test_records_that_need_no_work(log: Log) -> None:
    trigger = record()
    applied = log.write(Accepted(messages=(work(),), records=(trigger,)))
    assert applied.recorded == [trigger]
    assert set(applied.kept) == {ID, trigger.activation_id}


def test_carried_work_is_as_it_was(log: Log) -> None:
    log.accept()
    log.hand(1)
    log.begin(1)
    log.write(Noted(activation_id=ID, progress=b"half"))
    said = carried(log.ledger.pending[ID])
    other = Log()
    assert other.write(said).carried == [ID]
    assert carried(other.ledger.pending[ID]) == said
    assert log.write(said).carried == [ID]


@pytest.mark.parametrize("meanwhile", ["begin", "give_back", "hand", "note"])
def test_carrying_what_is_not_true_any_more_counts_for_nothing(log: Log, meanwhile: str) -> None:
    log.accept(retry_safe=True)
    log.hand(1)
    said = carried(log.ledger.pending[ID])
    happens: dict[str, Callable[[], object]] = {
        "begin": lambda: log.begin(1),
        "give_back": lambda: log.give_back(1),
        "hand": lambda: log.hand(2),
        "note": lambda: log.write(Noted(activation_id=ID, progress=b"x")),
    }
    happens[meanwhile]()
    now = carried(log.ledger.pending[ID])
    assert log.write(said).results == [False]
    assert carried(log.ledger.pending[ID]) == now


def test_carrying_does_not_bring_back_what_has_ended(log: Log) -> None:
    log.accept()
    said = carried(log.ledger.pending[ID])
    log.write(Discarded(activation_id=ID))
    assert log.write(said).results == [False]
    assert log.ledger.pending == {}


def test_what_retells(log: Log) -> None:
    accepted, kept = Accepted(messages=(work(),)), Accepted(messages=(work(node=NodeId("a")),))
    log.write(accepted)
    assert not retells([accepted, Noted(activation_id=ID, progress=b"")])
    assert retells([accepted, kept])
    assert retells([carried(log.ledger.pending[ID])])


@pytest.mark.parametrize("said", ["begun", "completion"])
def test_what_is_not_read_may_have_been_a_start(log: Log, said: str) -> None:
    log.accept()
    log.hand(1)
    assert not log.apply(Unreadable(type=said, activation_id=ID, dispatch=2)).counted
    assert log.apply(Unreadable(type=said, activation_id=ID, dispatch=1)).kept == [ID]
    assert log.attempt == 1
    assert log.ledger.pending[ID].begun
    assert not log.hand(2)
    assert log.hand(2, attempt=2)


def test_a_return_that_is_not_read_is_one(log: Log) -> None:
    log.accept()
    log.hand(1)
    assert log.apply(Unreadable(type="returned", activation_id=ID, dispatch=1)).counted
    assert not log.ledger.pending[ID].message.node
    assert log.hand(2)


@pytest.mark.parametrize("said", ["activation", "bundle"])
def test_nothing_else_that_is_not_read_counts(log: Log, said: str) -> None:
    log.accept()
    assert not log.apply(Unreadable(type=said, activation_id=ID)).counted
