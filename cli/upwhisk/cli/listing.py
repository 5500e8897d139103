"""Lists of entities and activations as `wsk` prints them, line by line."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from upwhisk.cli.output import Output, bold
from upwhisk.cli.parameters import lookup

STATUS = ("success", "application error", "developer error", "internal error")
Row = Mapping[str, Any]


def _name(row: Row) -> str:
    return f"/{row.get('namespace', '')}/{row.get('name', '')}"


def _shared(row: Row) -> str:
    return "shared" if row.get("publish") else "private"


def entity_line(collection: str, row: Row) -> str:
    start = f"{_name(row):<70} "
    if collection == "actions":
        return f"{start}{_shared(row)} {lookup(row.get('annotations'), 'exec') or ''}".rstrip()
    if collection == "rules":
        return f"{start}{_shared(row):<20} {row.get('status', '')}"
    return start + _shared(row)


def entity_cells(collection: str, row: Row) -> dict[str, Any]:
    """The same for `--output table`."""
    cells = {"name": _name(row), "visibility": _shared(row), "version": row.get("version")}
    if collection == "actions":
        cells["kind"] = lookup(row.get("annotations"), "exec")
    if collection == "rules":
        cells |= {"status": row.get("status"), "trigger": _path(row.get("trigger")), "action": _path(row.get("action"))}
    return cells


def _path(reference: Any) -> str:
    return f"/{reference.get('path')}/{reference.get('name')}" if isinstance(reference, Mapping) else ""


def print_entities(output: Output, collection: str, rows: Sequence[Row], *, by_name: bool = False) -> None:
    ordered = sorted(rows, key=lambda row: _name(row).lower()) if by_name else list(rows)
    if output.form == "table":
        output.data([entity_cells(collection, row) for row in ordered])
    elif output.form is not None:
        output.data(ordered)
    else:
        output.text(bold(collection))
        for row in ordered:
            output.text(entity_line(collection, row))


def duration_text(milliseconds: int) -> str:
    """As Go writes durations: `0s`, `336ms`, `1.2s`, `2m3s`."""
    if milliseconds <= 0:
        return "0s"
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def _shortened(text: str, longest: int) -> str:
    """With dots in the middle, as `wsk` does it."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return text[: half + longest % 2] + "..." + text[len(text) - half + 3 :]


def activation_cells(row: Row) -> dict[str, str]:
    start, end = int(row.get("start") or 0), int(row.get("end") or 0)
    annotations, code = row.get("annotations"), int(row.get("statusCode") or 0)
    entity = f"{_shortened(str(row.get('namespace', '')), 20)}/{_shortened(str(row.get('name', '')), 30)}"
    return {
        "Datetime": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(start / 1000)),
        "Activation ID": str(row.get("activationId", "")),
        "Kind": str(lookup(annotations, "kind") or "unknown"),
        "Start": "warm" if lookup(annotations, "initTime") is None else "cold",
        "Duration": duration_text(end - start if row.get("duration") else 0),
        "Status": STATUS[code] if 0 <= code < len(STATUS) else STATUS[0],
        "Entity": f"{entity}:{_shortened(str(row.get('version', '')), 20)}",
    }


_KIND_WIDTH = 11
"""As wsk has it: room for `python:3.11`."""


def activation_lines(rows: Iterable[Row]) -> list[str]:
    cells = [activation_cells(row) for row in rows]
    kind = max([_KIND_WIDTH, *(len(row["Kind"]) for row in cells)])
    status = max([len(STATUS[0]), *(len(row["Status"]) for row in cells)])
    shape = "{:<19} {:<32} {:<%d} {:<5} {:<10} {:<%d} {}" % (kind, status)  # noqa: UP031 - the braces are the result's
    heads = ("Datetime", "Activation ID", "Kind", "Start", "Duration", "Status", "Entity")
    return [bold(shape.format(*heads)), *(shape.format(*row.values()) for row in cells)]
