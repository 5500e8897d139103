from __future__ import annotations

import time
from typing import Any

import click
import pytest

from upwhisk.cli.listing import activation_lines, duration_text, entity_line
from upwhisk.cli.output import as_table, table


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (1, "1ms"),
        (336, "336ms"),
        (1000, "1s"),
        (1200, "1.2s"),
        (1234, "1.234s"),
        (60_000, "1m0s"),
        (61_500, "1m1.5s"),
        (3_723_004, "1h2m3.004s"),
    ],
)
def test_durations_read_as_go_writes_them(milliseconds: int, text: str) -> None:
    assert duration_text(milliseconds) == text


def test_entity_lines() -> None:
    row: dict[str, Any] = {"namespace": "ns/p", "name": "a", "publish": False}
    kinds = [{"key": "exec", "value": "nodejs:20"}]
    assert entity_line("actions", {**row, "annotations": kinds}) == f"{'/ns/p/a':<70} private nodejs:20"
    assert entity_line("packages", {**row, "publish": True}) == f"{'/ns/p/a':<70} shared"
    assert entity_line("rules", {**row, "status": "active"}) == f"{'/ns/p/a':<70} {'private':<20} active"


def _activation(**fields: Any) -> dict[str, Any]:
    base = {"namespace": "guest", "name": "noopjs", "version": "0.0.1", "activationId": "0a43" + "0" * 28}
    return {**base, "start": 1_700_000_000_000, "annotations": [], **fields}


def test_activation_lines() -> None:
    start = 1_700_000_000_000
    cold = [{"key": "kind", "value": "nodejs:20"}, {"key": "initTime", "value": 30}]
    lines = activation_lines(
        [
            _activation(annotations=cold, end=start + 336, duration=336, statusCode=0),
            _activation(name="t"),
            _activation(annotations=cold, end=start + 1200, duration=1200, statusCode=1, namespace="n" * 30),
        ]
    )
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(start / 1000))
    shown = "0a43" + "0" * 28
    assert click.unstyle(lines[0]).split() == ["Datetime", "Activation", "ID", "Kind", "Start", "Duration", "Status", "Entity"]
    assert lines[1] == f"{when} {shown} nodejs:20   cold  336ms      success           guest/noopjs:0.0.1"
    assert lines[2] == f"{when} {shown} unknown     warm  0s         success           guest/t:0.0.1"
    assert lines[3].endswith(f"1.2s       application error {'n' * 10}...{'n' * 7}/noopjs:0.0.1")


def test_an_empty_list_has_its_heading() -> None:
    heading = "Datetime            Activation ID                    Kind        Start Duration   Status  Entity"
    assert [click.unstyle(line) for line in activation_lines([])] == [heading]


def test_tables_fit_the_width() -> None:
    rows = [("short", "x" * 200), ("also short", "y")]
    lines = click.unstyle(table(("name", "value"), rows, 40)).splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert lines[1].endswith("…")
    assert click.unstyle(table(("name", "value"), rows, None)).splitlines()[1].endswith("x" * 200)


def test_tables_of_any_data() -> None:
    assert click.unstyle(as_table({"a": 1, "b": None}, 80)) == "field  value\na      1\nb"
    assert click.unstyle(as_table([{"a": "x\ny"}, {"b": [1]}], 80)) == "a     b\nx\\ny\n      [1]"
    assert as_table([], 80) == ""
    assert as_table(["a", "b"], 80) == "a\nb"
    assert as_table(7, 80) == "7"


def test_tables_change_nothing_but_the_ends_of_lines() -> None:
    code = "def main(a):\n\treturn  {}\r\n    # é"
    shown = click.unstyle(as_table({"code": code}, None))
    assert shown == "field  value\ncode   def main(a):\\n\\treturn  {}\\r\\n    # é"
    logs = ["2026-11-22T09:12:58Z stdout:     indented", "", "\ttab  and  blanks "]
    assert as_table(logs, 80) == "\n".join(logs)
    assert as_table(code, 80) == code
