"""What commands print: wsk's own texts, or with `--output` the data alone as JSON, YAML or a table."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

FORMS = ("json", "yaml", "table")
_MIN_COLUMN = 8
_ESCAPED = str.maketrans({"\n": r"\n", "\r": r"\r", "\t": r"\t"})


def as_json(data: Any) -> str:
    """As `wsk` indents it."""
    return json.dumps(data, indent=4, ensure_ascii=False)


def bold(text: Any) -> str:
    return click.style(str(text), bold=True)


class Output:
    """`form`: what `--output` asked for, None for wsk's texts. Colours appear on a terminal only, and not with
    NO_COLOR."""

    def __init__(self, form: str | None = None) -> None:
        self.form = form

    def ok(self, text: str, data: Any = None) -> None:
        """A line `ok: ...`; with `--output` the data instead."""
        if self.form is None:
            self.text(f"{click.style('ok:', fg='green')} {text}")
        else:
            self.data(data)

    def got(self, text: str, data: Any) -> None:
        """A line `ok: ...` and the data below it."""
        if self.form is None:
            self.ok(text)
        self.data(data)

    def text(self, line: str) -> None:
        click.echo(line, color=_colour())

    def data(self, data: Any) -> None:
        if self.form == "yaml":
            self.text(_as_yaml(data))
        elif self.form == "table":
            self.text(as_table(data))
        else:
            self.text(as_json(data))


def _colour() -> bool | None:
    return False if os.environ.get("NO_COLOR") else None


def print_error(text: str, *, usage: str = "", hint: str = "") -> None:
    """wsk's lines first, so that scripts find them, then what to do next."""
    click.echo(f"{click.style('error:', fg='red')} {text}", err=True, color=_colour())
    if usage:
        click.echo(usage, err=True)
    if hint:
        print_hint(hint)


def print_hint(text: str) -> None:
    click.echo(f"{click.style('hint:', fg='cyan')} {text}", err=True, color=_colour())


def _as_yaml(data: Any) -> str:
    import yaml

    return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True)).removesuffix("\n").removesuffix("\n...")


def as_table(data: Any, width: int | None = None) -> str:
    """Rows for a list of objects, `key  value` lines for one object, texts as they are. `width`: columns of the terminal;
    as wide as it gets when it is no terminal."""
    if width is None and sys.stdout.isatty():
        import shutil

        width = shutil.get_terminal_size().columns
    if isinstance(data, Mapping):
        return table(("field", "value"), [(key, _cell(value)) for key, value in data.items()], width)
    if isinstance(data, list) and data and all(isinstance(row, Mapping) for row in data):
        names = list(dict.fromkeys(name for row in data for name in row))
        return table(names, [[_cell(row.get(name)) for name in names] for row in data], width)
    if isinstance(data, list):
        return "\n".join(_plain(row) for row in data)
    return _plain(data)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cell(value: Any) -> str:
    """On one line; all else stays, as blanks may mean something in code and logs."""
    return _plain(value).translate(_ESCAPED)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], width: int | None) -> str:
    """Columns as wide as they need; the widest give way until a line fits into `width`."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(heads))]
    if width is not None:
        _narrow(widths, width - 2 * (len(widths) - 1))
    shown = ["  ".join(_fitted(cell, wide) for cell, wide in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([bold(shown[0]), *shown[1:]])


def _narrow(widths: list[int], room: int) -> None:
    while sum(widths) > room:
        widest = widths.index(max(widths))
        if widths[widest] <= _MIN_COLUMN:
            return
        widths[widest] -= 1


def _fitted(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 1] + "…"
