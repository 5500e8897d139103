"""The few lines of `get --summary`: what an entity is for and which parameters it takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from upwhisk.cli.output import bold
from upwhisk.cli.parameters import lookup

Entity = Mapping[str, Any]


def _parameter_names(entity: Entity) -> list[str]:
    """Sorted; bound ones carry `*`, bound and final ones `**`."""
    annotations = entity.get("annotations")
    mark = "**" if lookup(annotations, "final") is True else "*"
    bound = {str(entry["key"]) for entry in entity.get("parameters") or ()}
    described = lookup(annotations, "parameters")
    told = {str(one["name"]) for one in described if isinstance(one, dict) and "name" in one} if isinstance(described, list) else set()
    return [mark + name if name in bound else name for name in sorted(bound | told)]


def _sentence(names: list[str]) -> str:
    bare = [name.lstrip("*") for name in names]
    if len(bare) == 1:
        return f"Returns a result based on parameter {bare[0]}"
    return f"Returns a result based on parameters {', '.join(bare[:-1])} and {bare[-1]}"


def _lines(noun: str, full_name: str, entity: Entity) -> list[str]:
    names = _parameter_names(entity)
    description = lookup(entity.get("annotations"), "description")
    if not isinstance(description, str) or not description:
        description = _sentence(names) if names else ""
    first = f"{bold(noun)} {full_name}" + (f": {description}" if description else "")
    return [first, f"   ({bold('parameters')}: {', '.join(names) or 'none defined'})"]


def summary_lines(noun: str, entity: Entity) -> list[str]:
    """A package names its actions and feeds too."""
    full_name = f"/{entity.get('namespace')}/{entity.get('name')}"
    if noun == "rule":
        return [f"{bold('rule')} {full_name}", f"   ({bold('status')}: {entity.get('status')})"]
    lines = _lines(noun.rjust(7) if noun != "action" else noun, full_name, entity)
    for word, key in ((" action", "actions"), ("feed  ".rjust(7), "feeds")):
        for inner in entity.get(key) or () if noun == "package" else ():
            lines += _lines(word, f"{full_name}/{inner.get('name')}", inner)
    return lines
