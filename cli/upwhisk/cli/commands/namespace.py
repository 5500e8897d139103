"""`upwhisk namespace ...` and `upwhisk list`."""

from __future__ import annotations

from upwhisk.cli import entities, texts
from upwhisk.cli.failure import Failure, unable
from upwhisk.cli.listing import print_entities
from upwhisk.cli.options import arguments, command, group, with_name_sort
from upwhisk.cli.output import bold
from upwhisk.cli.qualified import QualifiedName
from upwhisk.cli.session import Session

namespace = group("namespace", "Your namespaces and what is in them.")
_hidden = group("", "Holds commands that stand alone.")
_COLLECTIONS = ("actions", "packages", "triggers", "rules")
_PRINTED = ("packages", "actions", "triggers", "rules")


@command(namespace, "list", "namespace list", "namespace list --output json")
@arguments("", 0, 0, texts.NO_ARGUMENTS)
def list_(session: Session, args: tuple[str, ...]) -> None:
    """List the namespaces your key opens."""
    with unable("Unable to obtain the list of available namespaces"):
        names = session.client.namespaces()
    if session.output.form is None:
        session.output.text("\n".join([bold("namespaces"), *names]))
    else:
        session.output.data(names)


@command(namespace, "get", "namespace get", "namespace get /guest --name-sort")
@arguments("[/NAMESPACE]", 0, 1, texts.ONLY_NAMESPACE)
@with_name_sort
def get(session: Session, args: tuple[str, ...], by_name: bool) -> None:
    """List everything in a namespace."""
    _show(session, args, by_name=by_name)


@command(_hidden, "list", "list", "list --output json")
@arguments("[/NAMESPACE]", 0, 1, texts.ONLY_NAMESPACE)
@with_name_sort
def list_all(session: Session, args: tuple[str, ...], by_name: bool) -> None:
    """List everything in the namespace."""
    _show(session, args, by_name=by_name)


def _show(session: Session, args: tuple[str, ...], *, by_name: bool) -> None:
    name = session.scope(args[0]) if args else QualifiedName(session.properties.namespace, "")
    if name.path:
        raise Failure(f"Invalid argument(s): {args[0]}. {texts.ONLY_NAMESPACE}", usage=True, hint="written /NAMESPACE")
    shown = "default" if name.namespace == "_" else name.namespace
    with unable(f"Unable to obtain the list of entities for namespace '{shown}'"):
        query = {"limit": 0, "skip": 0}
        found = {c: session.client.rows(c, query, namespace=name.namespace) for c in _COLLECTIONS}
    found["rules"] = entities.with_status(session, found["rules"])
    if session.output.form in ("json", "yaml"):
        session.output.data({collection: found[collection] for collection in _PRINTED})
        return
    if session.output.form is None:
        session.output.text(f"Entities in namespace: {bold(shown)}")
    for collection in _PRINTED:
        if session.output.form == "table":
            session.output.text(bold(collection))
        print_entities(session.output, collection, found[collection], by_name=by_name)
