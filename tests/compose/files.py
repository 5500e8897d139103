"""The Compose files as data, read without the tool: what each service says over all files together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "compose"
BASE = "compose.yaml"
FILES = sorted(path.name for path in COMPOSE.glob("compose*.yaml"))
COMBINATIONS = (
    (BASE,),
    (BASE, "compose.small.yaml"),
    (BASE, "compose.tls.yaml"),
    (BASE, "compose.tls.yaml", "compose.small.yaml"),
    (BASE, "compose.monitoring.yaml"),
    (BASE, "compose.monitoring.yaml", "compose.small.yaml"),
    (BASE, "compose.tls.yaml", "compose.monitoring.yaml", "compose.monitoring.tls.yaml"),
    (BASE, "compose.tls.yaml", "compose.monitoring.yaml", "compose.monitoring.tls.yaml", "compose.small.yaml"),
)
_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


@cache
def document(name: str) -> dict[str, Any]:
    """One file, variables replaced by their defaults."""
    text = _DEFAULT.sub(lambda found: found[1], (COMPOSE / name).read_text())
    parsed: dict[str, Any] = yaml.safe_load(text)
    return parsed


@cache
def services(files: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Services of several files: mappings are merged, `volumes`, `secrets` and `tmpfs` added up, all else replaced."""
    merged: dict[str, dict[str, Any]] = {}
    for name in files:
        for service, fields in document(name)["services"].items():
            merged[service] = _merged(merged.get(service, {}), fields)
    return merged


def _merged(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(before)
    for key, value in after.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            result[key] = _merged(old, value)
        elif isinstance(old, list) and key in ("volumes", "secrets", "tmpfs", "ports"):
            result[key] = [*old, *value]
        else:
            result[key] = value
    return result


def top(files: tuple[str, ...], section: str) -> dict[str, Any]:
    """`networks`, `volumes` or `secrets` of several files."""
    found: dict[str, Any] = {}
    for name in files:
        found |= document(name).get(section) or {}
    return found


def is_one_shot(service: Mapping[str, Any]) -> bool:
    return service.get("restart") == "no"


def given() -> dict[str, tuple[str, set[str]]]:
    """Who gets which secrets, from the script that hands them over: volume's name -> (owner, files)."""
    text = (COMPOSE / "config/secrets/distribute").read_text().replace("\\\n", " ")
    found: dict[str, tuple[str, set[str]]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 3 and words[0] == "give" and words[1] != "()":
            found[words[1]] = (words[2], set(words[3:]))
    return found


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every scalar with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path, value
