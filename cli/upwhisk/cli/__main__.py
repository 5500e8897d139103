"""The command `upwhisk`. Commands are imported when they are used, so `--help` stays quick."""

from __future__ import annotations

import sys
from importlib import import_module

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "standalone": ("upwhisk.cli.commands.standalone:standalone", "Run the whole platform in one process on this machine."),
}
"""Name -> where it is, and its line in `upwhisk --help`."""


class LazyGroup(click.Group):
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


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="upwhisk", message="%(prog)s %(version)s")
def upwhisk() -> None:
    """A serverless cloud for machines that already have a job, with the Apache OpenWhisk API."""


def main() -> None:
    sys.exit(upwhisk(prog_name="upwhisk"))


if __name__ == "__main__":
    main()
