"""Who owns which line."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.ids import ActivationId
from upwhisk.common.spi.containers import ATTRIBUTION, SENTINEL, LogChunk
from upwhisk.common.spi.logs import LogSink
from upwhisk.invoker.output import GuestOutput, log_line

A, B, C = ActivationId("a" * 32), ActivationId("b" * 32), ActivationId("c" * 32)


class Lines(LogSink):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def append(self, lines: Sequence[str]) -> None:
        self.lines.extend(lines)

    def close(self) -> tuple[str, ...]:
        return tuple(line.split(" ", 1)[1] for line in self.lines)


def chunk(data: str, stream: str = "stdout") -> LogChunk:
    return LogChunk(stream, data.encode(), 1_754_400_000_123_456_789)  # type: ignore[arg-type]


def test_the_form_of_a_line() -> None:
    line = log_line(1_754_400_000_123_456_789, "stdout", "hi")
    assert re.fullmatch(r"2025-08-05T13:20:00\.123456789Z stdout: hi", line)
    assert len(line.split(" ")[0]) == 30


def test_lines_until_both_ends() -> None:
    output = GuestOutput()
    output.open(A, Lines())
    output.feed([chunk("one\ntw"), chunk("o\n" + SENTINEL + "\n")])
    assert not output.ended(A)
    output.feed([chunk(SENTINEL + "\n", "stderr")])
    assert output.ended(A)
    assert output.close(A) == ("stdout: one", "stdout: two")


def test_text_before_a_sentinel_on_its_line_is_kept() -> None:
    output = GuestOutput()
    output.open(A, Lines())
    output.feed([chunk("no newline" + SENTINEL + "\n")])
    assert output.close(A) == ("stdout: no newline",)


def test_two_at_once() -> None:
    output = GuestOutput()
    output.open(A, Lines())
    output.open(B, Lines())
    output.feed([chunk(f"{ATTRIBUTION}{A} mine\n{ATTRIBUTION}{B} yours\nwhose\n{SENTINEL} {A}\n")])
    output.feed([chunk(f"{SENTINEL} {A}\n", "stderr")])
    assert output.ended(A)
    assert not output.ended(B)
    assert output.close(A) == ("stdout: mine", "stdout: unattributed: whose")
    output.feed([chunk("alone\n")])
    assert output.close(B) == ("stdout: yours", "stdout: unattributed: whose", "stdout: alone")


def test_what_is_written_after_its_end_is_no_others() -> None:
    """A task that runs on, for example."""
    output = GuestOutput()
    output.open(B, Lines())
    output.feed([chunk(f"{ATTRIBUTION}{A} late\n{ATTRIBUTION}{B} mine\n")])
    output.open(C, Lines())
    output.feed([chunk(f"{ATTRIBUTION}{A} later\n{ATTRIBUTION}not an id\n{ATTRIBUTION}{C} hers\n")])
    assert output.close(B) == ("stdout: mine", f"stdout: unattributed: {ATTRIBUTION}not an id")
    assert output.close(C) == (f"stdout: unattributed: {ATTRIBUTION}not an id", "stdout: hers")


def test_the_pieces_of_a_long_line_are_all_its_owners() -> None:
    output = GuestOutput()
    output.open(A, Lines())
    output.open(B, Lines())
    output.feed([chunk(f"{ATTRIBUTION}{A} {'x' * 200_000}"), chunk("y\n")])
    mine = output.close(A)
    assert "".join(line.removeprefix("stdout: ") for line in mine) == "x" * 200_000 + "y"
    assert output.close(B) == ()


def test_the_last_line_needs_no_end() -> None:
    output = GuestOutput()
    output.open(A, Lines())
    output.feed([chunk("half")])
    assert output.close(A) == ("stdout: half",)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\x01"), max_size=200), st.data())
def test_any_cut_gives_the_same_lines(text: str, data: st.DataObject) -> None:
    whole = (text + "\n" + SENTINEL + "\n").encode()
    cut = data.draw(st.integers(0, len(whole)))
    output = GuestOutput()
    output.open(A, Lines())
    for part in (whole[:cut], whole[cut:]):
        output.feed([LogChunk("stdout", part, 0)])
    assert output.close(A) == (f"stdout: {text}",)
