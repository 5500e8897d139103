"""Query strings."""

from __future__ import annotations

import pytest

from upwhisk.common.errors import BadRequest
from upwhisk.common.model.limits import SystemLimits
from upwhisk.controller.api.query import Page, flag, page, parse_query, timestamp, wait_ms

LIMITS = SystemLimits()


def test_reading() -> None:
    assert dict(parse_query("")) == {}
    assert dict(parse_query("a=1&a=2&b=x+y%2Fz&c")) == {"a": "2", "b": "x y/z", "c": ""}
    with pytest.raises(BadRequest):
        parse_query("a&" * 101)


def test_flags() -> None:
    assert flag(parse_query("x=true"), "x")
    assert flag(parse_query("x=TRUE"), "x")
    assert not flag(parse_query("x=false"), "x", True)
    assert flag(parse_query(""), "x", True)
    with pytest.raises(BadRequest) as caught:
        flag(parse_query("x=1"), "x")
    assert caught.value.text == "The query parameter 'x' was malformed:\n'1' is not a valid Boolean value"


def test_pages() -> None:
    assert page(parse_query(""), "actions", LIMITS) == Page(0, 30, False)
    assert page(parse_query("limit=0&skip=5&count=true"), "actions", LIMITS) == Page(5, 200, True)
    assert page(parse_query("limit=200"), "actions", LIMITS).limit == 200


@pytest.mark.parametrize("text", ["0", "60001", "x", "", "-1", "1.5", "٣"])
def test_waits(text: str) -> None:
    with pytest.raises(BadRequest) as caught:
        wait_ms({"timeout": text}, 60_000)
    assert caught.value.text == (
        "The query parameter 'timeout' was malformed:\nTimeout must be number of milliseconds up to 60000."
    )


def test_good_waits_and_times() -> None:
    assert wait_ms(parse_query(""), 60_000) == 60_000
    assert wait_ms(parse_query("timeout=1"), 60_000) == 1
    assert timestamp(parse_query("since=1754400000000"), "since") == 1754400000000
    assert timestamp(parse_query(""), "since") is None
