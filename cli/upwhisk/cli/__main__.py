"""The command `upwhisk`. Commands are imported when they are used, so `--help` stays quick."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module

import click

from upwhisk.cli import texts
from upwhisk.cli.failure import GENERAL, USAGE, Failure
from upwhisk.cli.options import WskGroup
from upwhisk.cli.output import print_error

COMMANDS: dict[str, tuple[str, str]] = {
    "standalone": ("upwhisk.cli.commands.standalone:standalone", "Run the whole platform in one process on this machine."),
    "controller": ("upwhisk.cli.commands.fleet:controller", "Run one controller of a fleet: the API and the load balancer."),
    "invoker": ("upwhisk.cli.commands.fleet:invoker", "Run one node of a fleet: takes work and runs it."),
    "init": ("upwhisk.cli.commands.fleet:init", "Make what a fleet needs in CouchDB, Kafka and Consul."),
    "migrate": ("upwhisk.cli.commands.migrate:migrate", "Move everything from a data folder to a fleet's CouchDB, or back."),
    "node": ("upwhisk.cli.commands.node:node", "The nodes of a fleet: how they fare, draining."),
    "action": ("upwhisk.cli.commands.action:action", "Create, change, call and look at actions."),
    "activation": ("upwhisk.cli.commands.activation:activation", "Look at what ran: records, logs, results."),
    "package": ("upwhisk.cli.commands.package:package", "Groups of actions with common parameters."),
    "rule": ("upwhisk.cli.commands.rule:rule", "Say which action runs when a trigger fires."),
    "trigger": ("upwhisk.cli.commands.trigger:trigger", "Events that rules wait for."),
    "namespace": ("upwhisk.cli.commands.namespace:namespace", "Your namespaces and what is in them."),
    "list": ("upwhisk.cli.commands.namespace:list_all", "List everything in the namespace."),
    "property": ("upwhisk.cli.commands.property:property_", "Where the API is and which key is used (~/.wskprops)."),
    "admin": ("upwhisk.cli.commands.admin:admin", "Users, limits, backup: for who runs the platform."),
    "doctor": ("upwhisk.cli.commands.doctor:doctor", "Say what this machine can and cannot do, and how to mend it."),
    "completion": ("upwhisk.cli.commands.completion:completion", "Print a completion script for bash, zsh or fish."),
}
"""Name -> where it is, and its line in `upwhisk --help`."""
EXAMPLES = f"""\b
Examples:
  {texts.PROGRAM} standalone
  {texts.PROGRAM} action create hello hello.py
  {texts.PROGRAM} action invoke hello --result --param name World
"""


class LazyGroup(WskGroup):
    """Knows its commands by name and help line; loads the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="upwhisk", message="%(prog)s %(version)s")
def upwhisk() -> None:
    """A serverless cloud for machines that already have a job, with the Apache OpenWhisk API."""


def run(arguments: Sequence[str]) -> int:
    """Carry out one command; its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # Half a surrogate pair in an answer is shown as JSON would write it instead of ending the command.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    try:
        code = upwhisk.main(list(arguments), prog_name=texts.PROGRAM, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except Failure as failure:
        print_error(failure.text, usage=texts.USAGE_LINE if failure.usage else "", hint=failure.hint)
        return failure.code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.UsageError as error:
        return _misused(error)
    except click.Abort:
        return 130
    except OSError as error:
        return _unwritten(error)


def _unwritten(error: OSError) -> int:
    """Most likely a full disk below the output; what is left of it is not tried again when the interpreter ends."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print_error(f"{error.strerror or error}" + (f": '{error.filename}'" if error.filename else ""))
    return GENERAL


def _misused(error: click.UsageError) -> int:
    hint = _belongs_to(error) or (f"'{error.ctx.command_path} --help' shows what it takes" if error.ctx is not None else "")
    if isinstance(error, click.BadOptionUsage) and error.message.endswith("requires 2 arguments."):
        text = f"Arguments for '{error.option_name}' must be a key/value pair"
        print_error(text, usage=texts.USAGE_LINE, hint=hint)
        return GENERAL
    print_error(error.format_message(), usage=texts.USAGE_LINE, hint=hint)
    return USAGE


def _belongs_to(error: click.UsageError) -> str:
    """A flag that stands before the command it belongs to."""
    context = error.ctx
    if context is None or not isinstance(error, click.NoSuchOption) or not isinstance(context.command, click.Group):
        return ""
    taken = {name for command in _below(context.command, context) for option in command.params for name in option.opts}
    name = error.option_name
    return f"{name} stands behind the whole command: {context.command_path} ... {name}" if name in taken else ""


def _below(group: click.Group, context: click.Context) -> Iterator[click.Command]:
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from _below(found, context)
        elif found is not None:
            yield found


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
