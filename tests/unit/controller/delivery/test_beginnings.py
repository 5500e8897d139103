"""Which words of a log may be begun with."""

from __future__ import annotations

from upwhisk.controller.delivery.beginnings import Begin, Beginnings


def said(*words: tuple[int, int]) -> Beginnings:
    beginnings = Beginnings()
    for word, last_bundle in words:
        beginnings.says(word, last_bundle)
    return beginnings


def test_any_word_if_nothing_is_retold() -> None:
    beginnings = said((0, 0), (1, 4))
    assert [beginnings.heard(0), beginnings.heard(1)] == [Begin.YES, Begin.YES]


def test_no_word_while_something_that_retells_is_on_its_way() -> None:
    beginnings = said((0, 0), (1, 4))
    beginnings.retells(5)
    beginnings.says(2, 5)
    assert beginnings.heard(1) is Begin.NO
    assert beginnings.heard(2) is Begin.YES, "what was sent before it has arrived before it, or never will"


def test_the_word_right_before_what_is_carried_if_that_is_true() -> None:
    for is_true in (True, False):
        beginnings = said((1, 4))
        beginnings.retells(5, companion=1)
        assert beginnings.heard(1) is Begin.PERHAPS
        assert beginnings.told(4, is_true=True) is None
        assert beginnings.told(5, is_true=is_true) is is_true
        assert beginnings.told(6, is_true=True) is None


def test_not_if_more_is_retold_meanwhile() -> None:
    beginnings = said((1, 4))
    beginnings.retells(5, companion=1)
    beginnings.retells(7)
    assert beginnings.heard(1) is Begin.NO
    assert beginnings.told(5, is_true=True) is None


def test_what_is_carried_never_came() -> None:
    beginnings = said((1, 4))
    beginnings.retells(5, companion=1)
    assert beginnings.heard(1) is Begin.PERHAPS
    assert beginnings.told(6, is_true=True) is False


def test_words_that_never_came() -> None:
    beginnings = said((0, 0), (1, 3), (2, 4))
    beginnings.retells(3)
    assert beginnings.heard(2) is Begin.YES
