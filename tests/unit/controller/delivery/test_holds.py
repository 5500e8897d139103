"""Which messages of a log are given back to the bus, and when."""

from __future__ import annotations

from itertools import count

from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.bus import Delivery
from upwhisk.controller.delivery.beginnings import Begin
from upwhisk.controller.delivery.holds import Holds

A, B = ActivationId("a" * 32), ActivationId("b" * 32)


class Numbered(Delivery):
    def __init__(self, number: int, done: list[int]) -> None:
        self._number = number
        self._done = done

    def done(self) -> None:
        self._done.append(self._number)


class Reading:
    def __init__(self) -> None:
        self.holds = Holds()
        self.done: list[int] = []
        self._numbers = count()

    def word(self, begin: Begin = Begin.YES) -> None:
        self.holds.keep_word(Numbered(next(self._numbers), self.done), begin)

    def message(self, *ids: ActivationId) -> None:
        self.holds.keep(Numbered(next(self._numbers), self.done), ids)


def test_what_nobody_needs_is_done_at_once() -> None:
    reading = Reading()
    reading.word()
    reading.message()
    assert reading.done == [1]


def test_what_comes_before_any_word_waits_for_the_first() -> None:
    reading = Reading()
    reading.message()
    reading.message()
    assert reading.done == []
    reading.word()
    assert reading.done == [1, 0]


def test_a_message_is_needed_until_all_its_ids_are_free() -> None:
    reading = Reading()
    reading.message(A, B)
    reading.message(A)
    reading.holds.free(A)
    assert (reading.done, len(reading.holds)) == ([1], 1)
    reading.holds.free(B)
    assert (sorted(reading.done), len(reading.holds)) == ([0, 1], 0)
    reading.holds.free(B)


def test_an_id_twice_in_one_message() -> None:
    reading = Reading()
    reading.message(A, A)
    reading.holds.free(A)
    assert reading.done == [0]


def test_the_last_word_before_what_is_needed_stays() -> None:
    reading = Reading()
    reading.word()
    reading.message(A)
    reading.word()
    reading.message(B)
    reading.word()
    assert reading.done == []
    reading.holds.free(A)
    assert reading.done == [1, 0]
    reading.holds.free(B)
    assert reading.done == [1, 0, 3, 2], "the last word of all stays"


def test_reading_does_not_begin_with_a_word_that_may_not_be_begun_with() -> None:
    reading = Reading()
    reading.word()
    reading.message(A)
    reading.word(Begin.NO)
    reading.holds.free(A)
    assert reading.done == [1], "both words stay"
    reading.word()
    assert reading.done == [1, 2, 0], "the one to begin with goes last"


def test_the_first_word_is_one_to_begin_with() -> None:
    reading = Reading()
    reading.word(Begin.NO)
    reading.word()
    assert reading.done == [0]


def carrying() -> Reading:
    """0 a word, 1 brings A, 2 a word, then A is carried in 4 behind the word 3, which is read."""
    reading = Reading()
    reading.word()
    reading.message(A)
    reading.word()
    reading.holds.retold()
    reading.word(Begin.PERHAPS)
    return reading


def test_what_was_carried_as_it_is_lets_its_past_go() -> None:
    reading = carrying()
    reading.holds.free(A)
    reading.message(A)
    assert reading.done == [1]
    reading.holds.decide(begins=True)
    assert reading.done == [1, 2, 0], "reading begins with the word right before it"
    reading.holds.free(A)
    assert reading.done == [1, 2, 0, 4]


def test_what_was_carried_as_it_is_no_more_changes_nothing() -> None:
    reading = carrying()
    reading.message()
    reading.holds.decide(begins=False)
    reading.holds.free(A)
    assert reading.done == [4, 1], "nobody begins between what it was and what was told of it"
    reading.word()
    assert reading.done == [4, 1, 2, 3, 0]


def test_a_second_telling_makes_the_first_ones_word_no_beginning() -> None:
    reading = carrying()
    reading.holds.retold()
    reading.holds.decide(begins=True)
    reading.holds.free(A)
    assert reading.done == [1]


def test_nothing_is_given_back_of_a_log_that_is_lost() -> None:
    reading = Reading()
    reading.message(A)
    reading.holds.released = True
    reading.holds.free(A)
    reading.message()
    assert reading.done == []


def test_the_span_and_the_oldest() -> None:
    reading = Reading()
    assert (reading.holds.span, reading.holds.oldest(5)) == (0, set())
    reading.word()
    reading.message(A)
    for _ in range(7):
        reading.message()
    reading.message(B)
    assert reading.holds.span == 8
    assert reading.holds.oldest(8) == {A}
    assert reading.holds.oldest(9) == {A, B}
    reading.holds.free(A)
    assert (reading.holds.span, reading.holds.oldest(1)) == (0, {B})
