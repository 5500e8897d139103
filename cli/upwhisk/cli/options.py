"""How commands are declared: flags that every command takes, arguments counted as `wsk` counts them, examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import click

from upwhisk.cli import texts
from upwhisk.cli.completions import completer
from upwhisk.cli.failure import GENERAL, Failure
from upwhisk.cli.output import FORMS
from upwhisk.cli.session import current_session

Function = Callable[..., Any]


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value and parameter.name is not None:
        current_session().flags[parameter.name] = value


def _shared(*names: str, **settings: Any) -> click.Option:
    return click.Option(names, expose_value=False, callback=_remember, **settings)


SHARED = (
    _shared("--apihost", "api_host", metavar="HOST", help="API host; http:// or https:// may stand before it."),
    _shared("--apiversion", "api_version", metavar="VERSION", help="API version. [default: v1]"),
    _shared("-u", "--auth", "auth", metavar="KEY", help="Authorization key, UUID:KEY. Visible to other users of this machine."),
    _shared("--cert", "cert", metavar="FILE", help="Client certificate."),
    _shared("--key", "key", metavar="FILE", help="Key of the client certificate."),
    _shared("-i", "--insecure", "insecure", is_flag=True, help="Do not check the host's certificate."),
    _shared("-v", "--verbose", "verbose", is_flag=True, help="Show requests and answers."),
    _shared("-d", "--debug", "debug", is_flag=True, help="The same."),
    _shared("--output", "output", type=click.Choice(FORMS), help="Print the data alone, in this form."),
)


def _with_shared(own: list[click.Parameter]) -> list[click.Parameter]:
    """A command's own option hides a shared one of the same name."""
    taken = {name for parameter in own for name in parameter.opts}
    return [*own, *(option for option in SHARED if not taken.intersection(option.opts))]


class WskCommand(click.Command):
    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return _with_shared(super().get_params(ctx))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _format_options(self, ctx, formatter)


class WskGroup(click.Group):
    command_class = WskCommand

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return _with_shared(super().get_params(ctx))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _format_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _format_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    own: list[tuple[str, str]] = []
    shared: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
        if record is not None:
            (shared if parameter in SHARED else own).append(record)
    for title, records in (("Options", own), ("Options of every command", shared)):
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def group(name: str, summary: str) -> WskGroup:
    return WskGroup(name, help=summary, short_help=summary)


def command(
    parent: click.Group, name: str, *examples: str, cls: type[WskCommand] = WskCommand
) -> Callable[[Function], click.Command]:
    """Declare a command; its function gets the `Session` first. `examples` follow its help."""

    def declare(function: Function) -> click.Command:
        @wraps(function)
        def run(*given: Any, **named: Any) -> Any:
            return function(current_session(), *given, **named)

        shown = "\b\nExamples:\n" + "\n".join(f"  {texts.PROGRAM} {example}" for example in examples)
        return parent.command(name, cls=cls, epilog=shown if examples else None)(run)

    return declare


def arguments(usage: str, least: int, most: int, required: str, *, names: Sequence[str] = ()) -> Callable[[Function], Function]:
    """Positional arguments, handed over as the tuple `args`; too few or too many are refused with wsk's lines.

    `usage` shows them in the help; `names`: for each position the collection whose names complete it.
    """

    def check(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
        return value if context.resilient_parsing else counted(value, least, most, required)

    return click.argument("args", nargs=-1, metavar=usage, callback=check, shell_complete=completer(names))


def counted(value: tuple[str, ...], least: int, most: int, required: str) -> tuple[str, ...]:
    """The arguments, if there are as many as there may be: also where a flag stands in for one."""
    if len(value) < least:
        raise Failure(f"Invalid argument(s). {required}", GENERAL, usage=True)
    if len(value) > most:
        raise Failure(f"Invalid argument(s): {', '.join(value[most:])}. {required}", GENERAL, usage=True)
    return value


def _pairs(*names: str, help: str) -> Callable[[Function], Function]:
    return click.option(*names, nargs=2, multiple=True, metavar="KEY VALUE", help=help)


def _file(*names: str, help: str) -> Callable[[Function], Function]:
    return click.option(*names, multiple=True, metavar="FILE", help=help, shell_complete=completer(("file",)))


def with_parameters(function: Function) -> Function:
    pairs = _pairs("-p", "--param", "params", help="Parameter; VALUE is JSON, or else a text. Repeatable.")
    return pairs(_file("-P", "--param-file", "param_files", help="JSON file with parameters.")(function))


def with_annotations(function: Function) -> Function:
    pairs = _pairs("-a", "--annotation", "annotations", help="Annotation; VALUE is JSON, or else a text. Repeatable.")
    return pairs(_file("-A", "--annotation-file", "annotation_files", help="JSON file with annotations.")(function))


def with_feed_parameters(function: Function) -> Function:
    pairs = _pairs("-F", "--feed-param", "feed_params", help="Parameter for the feed. Repeatable.")
    return pairs(_pairs("-T", "--trigger-param", "trigger_params", help="Parameter for the trigger. Repeatable.")(function))


def with_paging(function: Function) -> Function:
    limit = click.option("-l", "--limit", type=int, default=30, help="How many at most; 0: as many as the platform allows. [default: 30]")
    return limit(click.option("-s", "--skip", type=int, default=0, help="Leave out this many first.")(function))


def with_name_sort(function: Function) -> Function:
    return click.option("-n", "--name-sort", "by_name", is_flag=True, help="Sort what was returned by name.")(function)


def field_of(data: Any, field: str) -> Any:
    """A field of an entity, whatever the case it was asked for in."""
    found = {key.lower(): value for key, value in data.items()} if isinstance(data, dict) else {}
    return found.get(field.lower())


def check_field(field: str, known: Sequence[str], code: int = GENERAL) -> None:
    if field.lower() not in (name.lower() for name in known):
        raise Failure(f"Invalid argument(s). {texts.bad_field(field)}", code, usage=True, hint=f"fields: {', '.join(known)}")
