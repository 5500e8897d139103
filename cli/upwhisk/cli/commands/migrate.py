"""`upwhisk migrate`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from upwhisk.cli import admin_channel
from upwhisk.cli.failure import Failure, invalid
from upwhisk.cli.options import Function, command, group
from upwhisk.cli.output import print_hint
from upwhisk.cli.session import Session

if TYPE_CHECKING:
    from upwhisk.cli.migration_ends import Ends
    from upwhisk.cli.migration_verdict import Rules, Tally

_hidden = group("", "Holds commands that stand alone.")
_SIDES = click.Choice(["embedded", "couchdb"])
_STOPPED = 130


def _moment(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """Milliseconds, or a date with or without a time, in UTC unless it says otherwise."""
    if value is None or value.isdigit():
        return None if value is None else int(value)
    try:
        given = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"'{value}' is no time: 2026-11-01, 2026-11-01T12:00 or milliseconds since 1970") from None
    return round((given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp() * 1000)


def _with_choices(function: Function) -> Function:
    for option in (
        click.option("--verify", is_flag=True, help="Read both sides again at the end and compare everything."),
        click.option("--dry-run", is_flag=True, help="Write nothing; say what would be copied and what is in the way."),
        click.option("--overwrite", is_flag=True, help="Replace what is there and differs. [default: it stays and is reported]"),
        click.option("--since", metavar="TIME", callback=_moment,
                     help="Only records that started then or later: a date, a time (UTC) or ms since 1970."),
        click.option("--no-activations", is_flag=True, help="Leave the records of what ran."),
        click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar="UPWHISK_CONFIG", metavar="FILE",
                     help="The fleet's settings file (TOML): where its CouchDB is."),
        click.option("--data", type=click.Path(file_okay=False, path_type=Path), envvar="UPWHISK_DATA", metavar="DIR",
                     help="The platform's data folder. [default: ~/.local/share/upwhisk]"),
    ):
        function = option(function)
    return function


@command(_hidden, "migrate", "migrate embedded couchdb --data /srv/upwhisk --config fleet.toml --verify",
         "migrate couchdb embedded --data /srv/new --config fleet.toml --no-activations")
@click.argument("source", type=_SIDES)
@click.argument("target", type=_SIDES)
@_with_choices
def migrate(session: Session, source: Any, target: Any, data: Path | None, config: Path | None, **given: Any) -> int:
    """Copy everything from a data folder to a fleet's CouchDB, or back.

    Users with their keys, limits, actions, packages, triggers, rules, and records. Clients go on with the same keys. The
    source stays as it is. It may be interrupted at any moment: the same command goes on. What the target has already is
    compared; the exit code is 1 if something differs and was not replaced.
    """
    if source == target:
        raise invalid("SOURCE and TARGET are one embedded and one couchdb.")
    from upwhisk.cli.migration_ends import AGAIN, Ends
    from upwhisk.common.errors import StartupError
    from upwhisk.common.logging import configure
    from upwhisk.common.settings import LogSettings
    from upwhisk.common.settings_file import load_settings

    configure(LogSettings(level="error"))  # outages are told as progress
    try:
        ends = Ends(source, target, (data or admin_channel.default_data()).absolute(), load_settings(config))
        return _migrate(session, ends, **given)
    except StartupError as error:
        raise Failure(str(error)) from None
    except KeyboardInterrupt:
        raise Failure("Stopped", _STOPPED, hint=AGAIN) from None


def _migrate(
    session: Session, ends: Ends, *, no_activations: bool, since: int | None, overwrite: bool, dry_run: bool, verify: bool
) -> int:
    import asyncio

    from upwhisk.cli.migration_verdict import Rules

    if ends.source == "couchdb":
        click.echo("note: work that controllers accepted and not recorded yet lies in Kafka and is not copied: stop them first", err=True)
    rules = Rules(activations=not no_activations, since=since, overwrite=overwrite, writes=not dry_run)
    tally, proof = asyncio.run(_run(ends, rules, verify=verify and not dry_run))
    _tell(session, rules, tally, proof)
    return 0 if tally.is_complete and (proof is None or proof.is_equal) else 1


async def _run(ends: Ends, rules: Rules, *, verify: bool) -> tuple[Tally, Tally | None]:
    """What became of everything, and what a second reading found."""
    from dataclasses import replace

    from upwhisk.cli.migration import Migration
    from upwhisk.cli.migration_ends import opened
    from upwhisk.cli.migration_progress import Progress

    async with opened(ends, writes=rules.writes) as (source, target):
        is_counted = rules.activations and rules.since is None
        records = (await source.statistics()).records if is_counted else None
        passes = [rules, replace(rules, writes=False, overwrite=False)] if verify else [rules]
        tallies: list[Tally] = []
        for each in passes:
            progress = Progress(sys.stderr, records)
            try:
                tallies.append(await Migration(source, target, each, progress).run())
            finally:
                progress.finish()
    return tallies[0], tallies[1] if verify else None


def _tell(session: Session, rules: Rules, tally: Tally, proof: Tally | None) -> None:
    from upwhisk.cli.migration_verdict import Verdict
    from upwhisk.cli.output import as_table

    left = [{"kind": each.kind, "id": each.id, "outcome": each.verdict.value, "why": each.why} for each in tally.listed]
    if session.output.form is not None:
        session.output.data({"dryRun": not rules.writes, "kinds": tally.rows(), "left": left,
                             "verified": None if proof is None else proof.is_equal})
        return
    session.output.text(as_table(tally.rows()))
    for each in left:
        click.echo(f"{each['outcome']}: {each['kind']} '{each['id']}': {each['why']}", err=True)
    more = tally.total(Verdict.CONFLICT, Verdict.REFUSED) - len(left)
    if more > 0:
        click.echo(f"... and {more} more", err=True)
    if tally.total(Verdict.CONFLICT):
        print_hint("what differs was left as it is in the target; --overwrite replaces all of it but records")
    _conclude(session, rules, tally, proof)


def _conclude(session: Session, rules: Rules, tally: Tally, proof: Tally | None) -> None:
    from upwhisk.cli.migration_verdict import Verdict

    copied, same = tally.total(Verdict.COPIED, Verdict.REPLACED), tally.total(Verdict.SAME)
    if not rules.writes:
        session.output.text(f"Nothing was written; {copied} would be copied, {same} are there.")
        return
    text = f"copied {copied}, {same} were there"
    if not tally.is_complete:
        text += f", {tally.total(Verdict.CONFLICT, Verdict.REFUSED)} left"
    if proof is not None:
        differ = proof.total() - proof.total(Verdict.SAME)
        found = f"{differ} of {proof.total()} differ or are missing in the target" if differ else "all the same"
        text += f"; read again on both sides: {found}"
    is_done = tally.is_complete and (proof is None or proof.is_equal)
    (session.output.ok if is_done else session.output.text)(text)
