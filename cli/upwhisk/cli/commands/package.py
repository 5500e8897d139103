"""`upwhisk package ...`."""

from __future__ import annotations

from typing import Any

import click

from upwhisk.cli import entities, texts
from upwhisk.cli.failure import USAGE, Failure, unable
from upwhisk.cli.options import (
    Function,
    arguments,
    command,
    group,
    with_annotations,
    with_name_sort,
    with_paging,
    with_parameters,
)
from upwhisk.cli.output import bold
from upwhisk.cli.parameters import as_key_values
from upwhisk.cli.session import Session

package = group("package", "Groups of actions with common parameters.")


def _with_shared(function: Function) -> Function:
    return click.option("--shared", is_flag=False, flag_value="yes", metavar="[yes|no]", help="Let everybody use it.")(function)


def _put(session: Session, args: tuple[str, ...], flags: dict[str, Any], *, update: bool) -> None:
    name = session.name(args[0])
    body: dict[str, Any] = {
        "namespace": name.namespace,
        "name": name.path,
        "annotations": as_key_values(flags["annotations"], flags["annotation_files"]),
        "parameters": as_key_values(flags["params"], flags["param_files"]),
    }
    body = {key: value for key, value in body.items() if value}
    if flags["shared"] is not None:
        body["publish"] = _shared(flags["shared"])
    data = entities.put(session, "package", name, body, update=update)
    entities.put_done(session, "package", name, data, update=update)


def _shared(text: str) -> bool:
    if text.lower() in ("yes", "true"):
        return True
    if text.lower() in ("no", "false"):
        return False
    raise Failure(f"Cannot use value '{text}' for shared", USAGE, usage=True, hint="give yes, true, no or false")


@command(package, "create", "package create images", "package create images --param quality 80 --shared yes")
@arguments("PACKAGE_NAME", 1, 1, texts.PACKAGE_NAME)
@with_annotations
@with_parameters
@_with_shared
def create(session: Session, args: tuple[str, ...], **flags: Any) -> None:
    """Create a package. Its parameters reach all its actions."""
    _put(session, args, flags, update=False)


@command(package, "update", "package update images --param quality 90", "package update images --shared no")
@arguments("PACKAGE_NAME", 1, 1, texts.PACKAGE_NAME, names=("packages",))
@with_annotations
@with_parameters
@_with_shared
def update(session: Session, args: tuple[str, ...], **flags: Any) -> None:
    """Change a package, or create it."""
    _put(session, args, flags, update=True)


@command(package, "bind", "package bind /whisk.system/utils tools", "package bind /other/images mine --param quality 70")
@arguments("PACKAGE_NAME BOUND_PACKAGE_NAME", 2, 2, texts.PACKAGE_AND_BINDING, names=("packages", ""))
@with_annotations
@with_parameters
@click.option("-o", "--overwrite", is_flag=True, help="Replace a binding of that name.")
def bind(session: Session, args: tuple[str, ...], overwrite: bool, **flags: Any) -> None:
    """Use a package of another namespace under a name and with parameters of your own."""
    source, name = session.name(args[0]), session.name(args[1])
    body: dict[str, Any] = {
        "annotations": as_key_values(flags["annotations"], flags["annotation_files"]),
        "parameters": as_key_values(flags["params"], flags["param_files"]),
        "binding": {"namespace": source.namespace, "name": source.path},
    }
    body = {key: value for key, value in body.items() if value}
    with unable(f"Unable to create binding '{name.path}'"):
        data = session.client.put(f"packages/{name.path}", body, overwrite=overwrite, namespace=name.namespace)
    session.output.ok(f"created binding {bold(name.path)}", data)


@command(package, "get", "package get images", "package get images --summary")
@arguments("PACKAGE_NAME [FIELD]", 1, 2, texts.PACKAGE_NAME, names=("packages", ""))
@click.option("-s", "--summary", is_flag=True, help="What is in it, and which parameters that takes.")
def get(session: Session, args: tuple[str, ...], summary: bool) -> None:
    """Show a package, or one field of it."""
    entities.show(session, "package", args, summary=summary)


@command(package, "list", "package list", "package list /whisk.system")
@arguments("[/NAMESPACE]", 0, 1, texts.ONLY_NAMESPACE)
@with_paging
@with_name_sort
def list_(session: Session, args: tuple[str, ...], limit: int, skip: int, by_name: bool) -> None:
    """List packages, newest first."""
    entities.list_collection(session, "packages", args, (limit, skip), by_name=by_name)


@command(package, "delete", "package delete images", "package delete /guest/images")
@arguments("PACKAGE_NAME", 1, 1, texts.PACKAGE_NAME, names=("packages",))
def delete(session: Session, args: tuple[str, ...]) -> None:
    """Delete an empty package."""
    entities.remove(session, "package", session.name(args[0]))
