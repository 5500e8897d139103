"""Every command teaches: one line, and examples that exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from upwhisk.cli.__main__ import upwhisk


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(_commands(upwhisk))


def _help(path: tuple[str, ...]) -> str:
    done = CliRunner().invoke(upwhisk, [*path, "--help"], prog_name="upwhisk")
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("path", list(ALL), ids=" ".join)
def test_each_command_has_a_summary_and_two_examples(path: tuple[str, ...]) -> None:
    text = _help(path)
    assert ALL[path].get_short_help_str(200)
    examples = [line.strip() for line in text.partition("Examples:")[2].splitlines() if line.strip()]
    assert len(examples) >= 2
    for example in examples:
        assert example.startswith(f"upwhisk {' '.join(path)}")
        flags = re.findall(r"(?<=\s)(-{1,2}[a-zA-Z][\w-]*)", example)
        known = {name for parameter in ALL[path].get_params(click.Context(ALL[path])) for name in parameter.opts}
        assert set(flags) <= known


def test_what_the_issue_asks_for_is_there() -> None:
    wanted = {
        "action": "create update get list invoke delete",
        "trigger": "create update get list fire delete",
        "rule": "create update get list enable disable status delete",
        "package": "create update get list delete bind",
        "activation": "list get logs result poll why",
        "namespace": "list get",
        "property": "get set unset",
        "admin user": "create get delete list block unblock whois",
        "admin limits": "set get delete",
        "admin": "backup restore host-setup",
    }
    names = {" ".join(path) for path in ALL}
    assert {f"{group} {name}" for group, all_ in wanted.items() for name in all_.split()} <= names
    assert {"list", "standalone", "doctor", "completion"} <= names


@pytest.mark.parametrize("group", ["action", "admin user", ""])
def test_a_group_alone_shows_its_help(group: str) -> None:
    from upwhisk.cli.__main__ import run

    assert run(group.split()) == 0
