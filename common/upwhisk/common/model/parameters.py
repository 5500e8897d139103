"""Parameters and annotations: ordered lists of key and value, the last of equal keys wins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class Parameter(msgspec.Struct, frozen=True, omit_defaults=True):
    """`init`: delivered once, as an environment variable, when a container is initialised."""

    key: str
    value: Any = None
    init: bool = False


Parameters = tuple[Parameter, ...]


def to_mapping(parameters: Iterable[Parameter]) -> dict[str, Any]:
    return {p.key: p.value for p in parameters}


def last_wins(parameters: Iterable[Parameter]) -> Parameters:
    return tuple({p.key: p for p in parameters}.values())


def merge_annotations(old: Parameters, removed: Iterable[str], new: Parameters) -> Parameters:
    """`(old - removed) + new`, equal keys replaced by the new ones."""
    gone = set(removed)
    kept = {p.key: p for p in old if p.key not in gone}
    kept.update({p.key: p for p in new})
    return tuple(kept.values())


def with_annotation(annotations: Parameters, key: str, value: Any) -> Parameters:
    kept = [p for p in annotations if p.key != key]
    return (*kept, Parameter(key, value))


def value_of(annotations: Iterable[Parameter], key: str, default: Any = None) -> Any:
    for parameter in annotations:
        if parameter.key == key:
            return parameter.value
    return default


def is_truthy(value: Any) -> bool:
    """Truth as the wire has it: true, a number other than 0, a non-empty text, any object or array."""
    if isinstance(value, Mapping | list | tuple):
        return True
    return bool(value)
