"""`upwhisk activation ...`."""

from __future__ import annotations

import re
import time
from typing import Any

import click

from upwhisk.cli import texts
from upwhisk.cli.commands.poll import PollSettings, follow
from upwhisk.cli.failure import Failure, unable
from upwhisk.cli.listing import activation_cells, activation_lines
from upwhisk.cli.options import (
    Function,
    arguments,
    check_field,
    command,
    counted,
    field_of,
    group,
    with_paging,
)
from upwhisk.cli.output import as_json, as_table, bold
from upwhisk.cli.placed import node_rows, placement_text
from upwhisk.cli.qualified import QualifiedName, scope
from upwhisk.cli.session import Session
from upwhisk.cli.wskprops import DEFAULT_NAMESPACE

activation = group("activation", "Look at what ran: records, logs, results.")
FIELDS = (
    "namespace", "name", "version", "subject", "activationId", "cause", "start", "end", "duration", "statusCode",
    "response", "logs", "annotations", "publish",
)  # fmt: skip
_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d+Z(?: +(?:stdout|stderr):)? ?")
_HINTS = {404: "a record appears when the activation has ended; 'upwhisk activation list' shows those there are"}

_WHY_HINTS = {
    404: "ids are those of your namespace; 'upwhisk activation list' shows what ended; in a fleet, what is under way is known "
    "to the controller that accepted it"
}


def stripped(line: str) -> str:
    """A log line without its time and stream."""
    return _STAMP.sub("", line, count=1) if _STAMP.match(line) else line


def _with_last(function: Function) -> Function:
    return click.option("-l", "--last", is_flag=True, help="The latest activation.")(function)


def _with_latest(session: Session, args: tuple[str, ...], last: bool, what: str) -> tuple[str, ...]:
    """Put the newest id first if `--last` asks for it."""
    if not last:
        return args
    with unable(what):
        rows = session.client.rows("activations", {"limit": 1, "skip": 0})
    if not rows:
        raise Failure(f"{what}: {texts.NO_ACTIVATIONS}", usage=True, hint="invoke an action first")
    return (str(rows[0]["activationId"]), *args)


def _chosen(session: Session, args: tuple[str, ...], last: bool, what: str, most: int = 1) -> tuple[str, ...]:
    """The id to look at, and at most `most` arguments in all."""
    args = counted(_with_latest(session, args, last, what), 1, most, texts.ACTIVATION_ID)
    if not args[0]:  # that would be the list's address
        raise Failure(f"Invalid argument(s). {texts.ACTIVATION_ID}", usage=True)
    return args


def _whose(args: tuple[str, ...]) -> QualifiedName:
    """Whose activations, and of which action. As with `wsk` the namespace that the properties name plays no part."""
    return scope(args[0], DEFAULT_NAMESPACE) if args else QualifiedName(DEFAULT_NAMESPACE, "")


@command(activation, "list", "activation list", "activation list hello --limit 5")
@arguments("[/NAMESPACE | ACTION_NAME]", 0, 1, texts.ONLY_NAMESPACE, names=("actions",))
@with_paging
@click.option("-f", "--full", is_flag=True, help="Show whole records.")
@click.option("--since", type=int, metavar="MS", help="Started at this time or later; milliseconds since 1970.")
@click.option("--upto", type=int, metavar="MS", help="Started at this time or earlier.")
def list_(
    session: Session, args: tuple[str, ...], limit: int, skip: int, full: bool, since: int | None, upto: int | None
) -> None:
    """List activations, newest first."""
    name = _whose(args)
    query = {"limit": limit, "skip": skip, "name": name.path or None, "since": since, "upto": upto}
    with unable(texts.no_list("activations", name.namespace)):
        rows = session.client.rows("activations", {**query, "docs": True if full else None}, namespace=name.namespace)
    output = session.output
    if output.form == "table":
        output.data([activation_cells(row) for row in rows])
    elif output.form is not None:
        output.data(rows)
    elif full:
        output.text("\n".join([bold("activations"), *(as_json(row) for row in rows)]))
    else:
        output.text("\n".join(activation_lines(rows)))


@command(activation, "get", "activation get --last", "activation get 5f0f2a... response")
@arguments("(ACTIVATION_ID | --last) [FIELD]", 0, 2, texts.ACTIVATION_ID, names=("activations", ""))
@_with_last
@click.option("-s", "--summary", is_flag=True, help="One line, and the result.")
@click.option("-g", "--logs", is_flag=True, help="Its log lines alone, without time and stream.")
def get(session: Session, args: tuple[str, ...], last: bool, summary: bool, logs: bool) -> None:
    """Show the record of an activation, or one field of it."""
    args = _chosen(session, args, last, "Unable to get activation", most=2)
    activation_id, field = args[0], args[1] if len(args) > 1 else ""
    if field:
        check_field(field, FIELDS)
    with unable(f"Unable to get activation '{activation_id}'", _HINTS):
        record = session.client.get(f"activations/{activation_id}")
    if summary:
        _print_summary(session, record)
    elif logs:
        _print_logs(session, record.get("logs") or [], strip=True)
    elif field:
        session.output.got(f"got activation {bold(activation_id)}, displaying field {bold(field)}", field_of(record, field))
    else:
        session.output.got(f"got activation {bold(activation_id)}", record)


def _print_summary(session: Session, record: dict[str, Any]) -> None:
    response = record.get("response") or {}
    if session.output.form is None:
        ended = time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(int(record.get("end") or 0) / 1000))
        entity = f"/{record.get('namespace')}/{record.get('name')}"
        session.output.text(f"activation result for '{entity}' ({response.get('status')} at {ended})")
    session.output.data(response.get("result"))


def _print_logs(session: Session, lines: list[str], *, strip: bool) -> None:
    shown = [stripped(line) for line in lines] if strip else lines
    if session.output.form is not None:
        session.output.data(shown)
    for line in shown if session.output.form is None else ():
        session.output.text(line)


@command(activation, "logs", "activation logs --last", "activation logs 5f0f2a... --strip")
@arguments("(ACTIVATION_ID | --last)", 0, 1, texts.ACTIVATION_ID, names=("activations",))
@_with_last
@click.option("-r", "--strip", is_flag=True, help="Without time and stream.")
def logs(session: Session, args: tuple[str, ...], last: bool, strip: bool) -> None:
    """Print what an activation wrote to its output."""
    args = _chosen(session, args, last, "Unable to get logs for activation")
    with unable(f"Unable to get logs for activation '{args[0]}'", _HINTS):
        data = session.client.get(f"activations/{args[0]}/logs")
    _print_logs(session, data.get("logs") or [], strip=strip)


@command(activation, "result", "activation result --last", "activation result 5f0f2a... --output yaml")
@arguments("(ACTIVATION_ID | --last)", 0, 1, texts.ACTIVATION_ID, names=("activations",))
@_with_last
def result(session: Session, args: tuple[str, ...], last: bool) -> None:
    """Print what an activation returned."""
    args = _chosen(session, args, last, "Unable to get result for activation")
    with unable(f"Unable to get result for activation '{args[0]}'", _HINTS):
        data = session.client.get(f"activations/{args[0]}/result")
    session.output.data(data.get("result"))


@command(activation, "why", "activation why --last", "activation why 5f0f2a... --output json")
@arguments("(ACTIVATION_ID | --last)", 0, 1, texts.ACTIVATION_ID, names=("activations",))
@_with_last
def why(session: Session, args: tuple[str, ...], last: bool) -> None:
    """Show where an activation was placed, and why not elsewhere."""
    args = _chosen(session, args, last, "Unable to explain activation")
    with unable(f"Unable to explain activation '{args[0]}'", _WHY_HINTS):
        found = session.client.own(f"activations/{args[0]}/why")
    output = session.output
    if output.form == "table":
        output.data(node_rows(found))
    elif output.form is not None:
        output.data(found)
    else:
        output.ok(f"activation {bold(args[0])} {placement_text(found)}")
        if rows := node_rows(found):
            output.text(as_table(rows))


@command(activation, "poll", "activation poll", "activation poll hello --since-minutes 5 --exit 60")
@arguments("[/NAMESPACE | ACTION_NAME]", 0, 1, texts.ONLY_NAMESPACE, names=("actions",))
@click.option("-e", "--exit", "exit_s", type=click.IntRange(0), default=0, metavar="SECONDS", help="Stop after this long.")
@click.option("--since-seconds", type=click.IntRange(0), default=0, metavar="N", help="Begin this long ago.")
@click.option("--since-minutes", type=click.IntRange(0), default=0, metavar="N", help="Begin this long ago.")
@click.option("--since-hours", type=click.IntRange(0), default=0, metavar="N", help="Begin this long ago.")
@click.option("--since-days", type=click.IntRange(0), default=0, metavar="N", help="Begin this long ago.")
def poll(session: Session, args: tuple[str, ...], exit_s: int, **since: int) -> int:
    """Print the logs of activations as they end, until Ctrl-C."""
    minutes = since["since_minutes"] + 60 * (since["since_hours"] + 24 * since["since_days"])
    return follow(session, PollSettings(_whose(args), since["since_seconds"] + 60 * minutes, exit_s))
