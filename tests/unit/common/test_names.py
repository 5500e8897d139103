from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.errors import BadRequest
from upwhisk.common.names import EntityName, check_name, is_segment, parse_reference


@pytest.mark.parametrize("name", ["a", "_", "9", "a b", "a@b.c", "a-&.", "a" * 256])
def test_good(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", " a", "a ", "a/b", "é", "@a", "-a", "a\n", "a\x00b", "a" * 257])
def test_bad(name: str) -> None:
    with pytest.raises(BadRequest):
        check_name(name)


def test_references() -> None:
    assert parse_reference("/_/a", "me") == EntityName("me", None, "a")
    assert parse_reference("/ns/pkg/a", "me") == EntityName("ns", "pkg", "a")
    assert str(parse_reference("ns/pkg/a", "me")) == "/ns/pkg/a"
    for wrong in ("a", "/a", "", "/", "/a/b/c/d"):
        with pytest.raises(BadRequest):
            parse_reference(wrong, "me")


@given(st.text(max_size=300))
def test_a_segment_never_holds_a_slash_or_a_line_end(text: str) -> None:
    if is_segment(text):
        assert 1 <= len(text) <= 256
        assert not set(text) & set("/\n\r\x00")
        assert not text.endswith(" ")
