from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from upwhisk.cli.failure import Failure
from upwhisk.cli.parameters import as_key_values, as_object, from_file, lookup, value_of, without


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("-1.5", -1.5),
        ("true", True),
        ("null", None),
        ('"7"', "7"),
        ('{"a": [1, "x"]}', {"a": [1, "x"]}),
        ("hello", "hello"),
        ("hello world", "hello world"),
        ("", ""),
        ("007", "007"),
        ("{broken", "{broken"),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
        ("1e400", "1e400"),
        ("-1e400", "-1e400"),
        ('{"a": [1e400]}', '{"a": [1e400]}'),
        ("1e300", 1e300),
        ("äöü", "äöü"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_values_are_json_or_else_texts(text: str, value: Any) -> None:
    assert value_of(text) == value


def test_big_numbers_stay_exact() -> None:
    assert value_of("123456789012345678901234567890") == 123456789012345678901234567890


def test_pairs_overlay_files_and_later_ones_win(tmp_path: Path) -> None:
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    first.write_text(json.dumps({"a": 1, "b": 1, "c": 1}))
    second.write_text(json.dumps({"b": 2, "c": 2}))
    pairs = [("c", "3"), ("d", "x"), ("d", "y")]
    assert as_object(pairs, [str(first), str(second)]) == {"a": 1, "b": 2, "c": 3, "d": "y"}
    assert as_key_values([("k", "[]")], []) == [{"key": "k", "value": []}]


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        from_file(str(tmp_path / "no.json"))
    assert caught.value.code == 2
    assert caught.value.text.endswith("no.json' is not a valid file or it does not exist")


@pytest.mark.parametrize("text", ["[1]", "{", "", '{"a": NaN}', '{"a": 1e400}', "7"])
def test_a_file_must_hold_an_object(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(Failure) as caught:
        from_file(str(path))
    assert caught.value.code == 1


def test_lookup_and_without() -> None:
    pairs = [{"key": "a", "value": 1}, {"key": "b", "value": False}]
    assert lookup(pairs, "b") is False
    assert lookup(pairs, "c") is None
    assert lookup("nonsense", "a") is None
    assert without(pairs, "a") == [{"key": "b", "value": False}]
