"""`upwhisk admin ...`: what `wskadmin` does, and backup, restore and the set-up of the host."""

from __future__ import annotations

from functools import wraps
from pathlib import Path
from typing import Any

import click

from upwhisk.cli import admin_channel
from upwhisk.cli.admin_channel import Result, Where
from upwhisk.cli.failure import Failure
from upwhisk.cli.options import Function, WskCommand, command, group
from upwhisk.cli.output import print_hint
from upwhisk.cli.session import Session

admin = group("admin", "Users, limits, backup: for who runs the platform.")
user = group("user", "Subjects, their namespaces and keys.")
limits = group("limits", "Limits of single namespaces.")
admin.add_command(user)
admin.add_command(limits)
_COUNTS = ("invocationsPerMinute", "firesPerMinute", "concurrentInvocations")
_BOUNDS = tuple(f"{end}Action{what}" for what in ("Memory", "Logs", "Timeout", "Concurrency") for end in ("min", "max"))
_SIZES = ("maxParameterSize", "maxPayloadSize", "truncationSize")
_MAX_EXIT = 255


def _with_data(function: Function) -> Function:
    """Gives the command a `where`: a data folder, or the documents of a fleet."""
    data = click.option("--data", type=click.Path(file_okay=False, path_type=Path), envvar="UPWHISK_DATA", metavar="DIR",
                        help="The platform's data folder. [default: the one that holds the file of WSK_CONFIG_FILE, if a platform's data "
                             "are there, else ~/.local/share/upwhisk]")
    config = click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar="UPWHISK_CONFIG",
                          metavar="FILE", help="Its settings file (TOML), if it has one.")
    fleet = click.option("--fleet", is_flag=True, help="The fleet that --config describes, instead of a data folder.")

    @wraps(function)
    def bundled(*args: Any, data: Path | None, config: Path | None, fleet: bool, **given: Any) -> Any:
        where = Where(data or admin_channel.default_data(), config, fleet)
        return function(*args, where=where, **given)

    return data(config(fleet(bundled)))


def _operate(session: Session, where: Where, name: str, **arguments: Any) -> int:
    return _tell(session, admin_channel.operate(where, name, arguments))


def _tell(session: Session, result: Result, *, silent: bool = False) -> int:
    if session.output.form is not None:
        session.output.data({"text": result.text, "code": result.code} if result.data is None else result.data)
    elif not (silent and result.code == 0):
        session.output.text(result.text)
    if result.hint:
        print_hint(result.hint)
    return min(result.code, _MAX_EXIT)


def _namespace() -> Function:
    return click.option("-ns", "--namespace", metavar="NS", help="Namespace. [default: named like the subject]")


@command(user, "create", "admin user create alice", "admin user create alice --namespace photos --revoke")
@click.argument("subject")
@_namespace()
@click.option("-u", "--auth", metavar="UUID:KEY", help="Key to use instead of a random one. Visible to other users of this machine.")
@click.option("-r", "--revoke", is_flag=True, help="Give a new key to a namespace that exists.")
@click.option("-g", "--genonly", is_flag=True, help="Make a key and store nothing.")
@click.option("-s", "--silent", is_flag=True, help="Do not print the key.")
@_with_data
def create(session: Session, subject: str, silent: bool, where: Where, **given: Any) -> int:
    """Make a subject with a namespace, or add a namespace; prints the key."""
    return _tell(session, admin_channel.operate(where, "user create", {"subject": subject, **given}), silent=silent)


@command(user, "get", "admin user get guest", "admin user get guest --all")
@click.argument("subject")
@_namespace()
@click.option("-a", "--all", "all_", is_flag=True, help="Every namespace with its key.")
@_with_data
def get(session: Session, subject: str, namespace: str | None, all_: bool, where: Where) -> int:
    """Print the key of a subject."""
    return _operate(session, where, "user get", subject=subject, namespace=namespace, all=all_)


@command(user, "delete", "admin user delete alice", "admin user delete alice --namespace photos")
@click.argument("subject")
@_namespace()
@_with_data
def delete(session: Session, subject: str, namespace: str | None, where: Where) -> int:
    """Delete a subject, or one of its namespaces."""
    return _operate(session, where, "user delete", subject=subject, namespace=namespace)


@command(user, "list", "admin user list guest", "admin user list guest --all --key")
@click.argument("namespace")
@click.option("-p", "--pick", type=int, default=1, metavar="N", help="Print this many. [default: 1]")
@click.option("-a", "--all", "all_", is_flag=True, help="Print all.")
@click.option("-k", "--key", "key_only", is_flag=True, help="Print the keys alone.")
@_with_data
def list_(session: Session, namespace: str, pick: int, all_: bool, key_only: bool, where: Where) -> int:
    """Print who may use a namespace."""
    return _operate(session, where, "user list", namespace=namespace, pick=pick, all=all_, key=key_only)


@command(user, "whois", "admin user whois UUID:KEY", "admin user whois UUID:KEY --data /srv/upwhisk")
@click.argument("auth", metavar="UUID:KEY")
@_with_data
def whois(session: Session, auth: str, where: Where) -> int:
    """Say whose key this is."""
    return _operate(session, where, "user whois", auth=auth)


@command(user, "block", "admin user block alice", "admin user block alice bobby")
@click.argument("subjects", nargs=-1, required=True)
@_with_data
def block(session: Session, subjects: tuple[str, ...], where: Where) -> int:
    """Shut subjects out; their keys stop working at once. The exit code counts those that failed."""
    return _operate(session, where, "user block", subjects=subjects)


@command(user, "unblock", "admin user unblock alice", "admin user unblock alice bobby")
@click.argument("subjects", nargs=-1, required=True)
@_with_data
def unblock(session: Session, subjects: tuple[str, ...], where: Where) -> int:
    """Let subjects in again."""
    return _operate(session, where, "user unblock", subjects=subjects)


class _LimitsSet(WskCommand):
    """`--allowedKinds A B C`: one flag with several values, as `wskadmin` takes it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spread: list[str] = []
        is_within = False
        for arg in args:
            if arg.startswith("-"):
                is_within = arg == "--allowedKinds"
                spread += [] if is_within else [arg]
            else:
                spread += ["--allowedKinds", arg] if is_within else [arg]
        return super().parse_args(ctx, spread)


def _limit_flags(function: Function) -> Function:
    flags = [click.option(f"--{name}", name, type=int, metavar="N", help="Not enforced yet.") for name in _COUNTS]
    flags.append(click.option("--allowedKinds", "allowedKinds", multiple=True, metavar="KIND...", help="Runtimes it may use."))
    flags.append(click.option("--storeActivations", "storeActivations", type=bool, metavar="[true|false]", help="Keep records."))
    flags += [click.option(f"--{name}", name, type=int, metavar="N") for name in _BOUNDS]
    flags += [click.option(f"--{name}", name, metavar="SIZE", help="For instance '1 MB'.") for name in _SIZES]
    for flag in reversed(flags):
        function = flag(function)
    return function


@command(limits, "set", "admin limits set guest --maxActionMemory 256", "admin limits set guest --allowedKinds nodejs:20 python:3.11",
         cls=_LimitsSet)
@click.argument("namespace")
@_limit_flags
@_with_data
def set_(session: Session, namespace: str, where: Where, **given: Any) -> int:
    """Change the given limits of a namespace; the others stay."""
    changes = {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
    wanted = {name: value for name, value in changes.items() if value is not None and value != []}
    return _operate(session, where, "limits set", namespace=namespace, limits=wanted)


@command(limits, "get", "admin limits get guest", "admin limits get guest --output json")
@click.argument("namespace")
@_with_data
def get_limits(session: Session, namespace: str, where: Where) -> int:
    """Print the limits that were set for a namespace."""
    return _operate(session, where, "limits get", namespace=namespace)


@command(limits, "delete", "admin limits delete guest", "admin limits delete guest --data /srv/upwhisk")
@click.argument("namespace")
@_with_data
def delete_limits(session: Session, namespace: str, where: Where) -> int:
    """Give a namespace the platform's limits again."""
    return _operate(session, where, "limits delete", namespace=namespace)


@command(admin, "backup", "admin backup /mnt/upwhisk-monday.db", "admin backup today.db --data /srv/upwhisk")
@click.argument("target", type=click.Path(path_type=Path))
@_with_data
def backup(session: Session, target: Path, where: Where) -> int:
    """Write everything into one file, also while the platform runs. The file holds all keys: its mode is 0600."""
    return _tell(session, admin_channel.backup(where, target.absolute()))


@command(admin, "restore", "admin restore /mnt/upwhisk-monday.db", "admin restore today.db --data /srv/new")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("-f", "--force", is_flag=True, help="Replace what is in the data folder.")
@_with_data
def restore(session: Session, source: Path, force: bool, where: Where) -> int:
    """Make the data folder what a backup holds. The platform must be stopped."""
    return _tell(session, admin_channel.restore(where, source, force=force))


@command(admin, "images", "admin images", "admin images --kind python:3.12 --base python:3.12-slim-bookworm")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only this one. [default: all that can be made here]")
@click.option("--base", "bases", multiple=True, metavar="[KIND=]IMAGE",
              help="Image to build on. [default: one made of this host's interpreter]")
@click.option("--library", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
              help="Folder of packages for Python actions. [default: the setting guest.python_library]")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar="UPWHISK_CONFIG", metavar="FILE",
              help="Settings file (TOML).")
def images(session: Session, kinds: tuple[str, ...], bases: tuple[str, ...], library: Path | None, config: Path | None) -> None:
    """Build the images of the runtimes in the container engine; those that are there already stay."""
    from upwhisk.cli.runtime_images import build_images, wanted
    from upwhisk.common.errors import StartupError
    from upwhisk.common.settings_file import load_settings

    say = session.output.text if session.output.form is None else (lambda _: None)
    try:
        names = build_images(load_settings(config), wanted(kinds, bases, library), say)
    except StartupError as error:
        raise Failure(str(error)) from None
    if session.output.form is not None:
        session.output.data(names)


@command(admin, "purge", "admin purge --config fleet.toml", "admin purge --output json")
@click.option("--config", type=click.Path(dir_okay=False, path_type=Path), envvar="UPWHISK_CONFIG", metavar="FILE",
              help="Settings file (TOML), with the login of CouchDB's administrator.")
def purge(session: Session, config: Path | None) -> None:
    """Remove what a fleet's CouchDB keeps of records that retention has deleted; also while the fleet runs."""
    import asyncio
    import sys

    from upwhisk.cli.fleet_marks import purge_marks
    from upwhisk.common.errors import StartupError
    from upwhisk.common.settings_file import load_settings

    def tell(count: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\r{count} marks removed", err=True, nl=False)

    try:
        count = asyncio.run(purge_marks(load_settings(config), tell))
    except StartupError as error:
        raise Failure(str(error)) from None
    session.output.ok(f"removed the marks of {count} deleted records", {"purged": count})


@command(admin, "host-setup", "admin host-setup --user alice", "admin host-setup --user alice --pid 4711")
@click.option("--user", "name", required=True, metavar="USER", help="Who will run upwhisk: a name or a number.")
@click.option("--pid", type=int, metavar="PID", help="With cgroup v2: a process of that user, moved into the new group.")
def host_setup_(session: Session, name: str, pid: int | None) -> None:
    """Let an ordinary user limit guests: a cgroup of their own. Once as root after each start of the host."""
    from upwhisk.common.errors import StartupError
    from upwhisk.invoker.containers.host_setup import host_setup

    try:
        done = host_setup(name, pid)
    except StartupError as error:
        raise Failure(str(error), hint=admin_channel.become_root_hint()) from None
    if session.output.form is not None:
        session.output.data(list(done))
    for line in done if session.output.form is None else ():
        session.output.ok(line)
