"""Parameters and annotations from the command line: `-p KEY VALUE`, `-P FILE`, `-a`, `-A`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from upwhisk.cli.failure import GENERAL, invalid

KeyValues = list[dict[str, Any]]


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _finite(number: str) -> float:
    """`ValueError` for what is read as an infinity, which no JSON can say again."""
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"the number {number} is out of range")
    return value


def value_of(text: str) -> Any:
    """JSON where `text` is valid JSON, else the text itself. `NaN`, `Infinity` and numbers beyond all range are texts."""
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return text


def read_text(path: str) -> str:
    """The file's text; `Failure` with code 2 when it is not there."""
    return decode(path, read_bytes(path))


def read_bytes(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise invalid(f"File '{path}' is not a valid file or it does not exist") from None
    except OSError as error:
        raise invalid(f"Unable to read the file '{path}': {error.strerror}", GENERAL) from None


def decode(path: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise invalid(f"File '{path}' is not UTF-8 text", hint="compiled programs need --native, archives end in .zip") from None


def from_file(path: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        data = json.loads(read_text(path), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise invalid(f"Invalid JSON in file '{path}': {error}", GENERAL) from None
    if not isinstance(data, dict):
        raise invalid(f"File '{path}' does not hold a JSON object", GENERAL)
    return data


def as_object(pairs: Iterable[Sequence[str]], files: Iterable[str]) -> dict[str, Any]:
    """Arguments of a call: what the files hold, overlaid by the pairs; of two equal keys the later counts."""
    merged: dict[str, Any] = {}
    for file in files:
        merged |= from_file(file)
    merged |= {key: value_of(value) for key, value in pairs}
    return merged


def as_key_values(pairs: Iterable[Sequence[str]], files: Iterable[str]) -> KeyValues:
    """The same as entities carry it: `[{"key": ..., "value": ...}]`."""
    return [{"key": key, "value": value} for key, value in as_object(pairs, files).items()]


def lookup(key_values: Any, key: str) -> Any:
    """The value of `key` in a `[{"key", "value"}]` array; None if it is not there."""
    for entry in key_values if isinstance(key_values, list) else ():
        if isinstance(entry, dict) and entry.get("key") == key:
            return entry.get("value")
    return None


def without(key_values: Iterable[dict[str, Any]], *keys: str) -> KeyValues:
    return [entry for entry in key_values if entry.get("key") not in keys]


