"""What the commands of all entity kinds have in common: get, list and delete with wsk's texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from upwhisk.cli import texts
from upwhisk.cli.failure import GENERAL, USAGE, Failure, unable
from upwhisk.cli.listing import print_entities
from upwhisk.cli.options import check_field, field_of
from upwhisk.cli.output import bold
from upwhisk.cli.qualified import QualifiedName
from upwhisk.cli.session import Session
from upwhisk.cli.summary import summary_lines

Paging = tuple[int, int]
_COMMON = ("namespace", "name", "version", "publish", "annotations", "updated")
FIELDS = {
    "action": (*_COMMON, "exec", "parameters", "limits"),
    "trigger": (*_COMMON, "parameters", "limits", "rules"),
    "rule": (*_COMMON, "status", "trigger", "action"),
    "package": (*_COMMON, "parameters", "binding", "actions", "feeds"),
}


def route(noun: str, name: QualifiedName) -> str:
    return f"{noun}s/{name.path}"


def fetch(session: Session, noun: str, name: QualifiedName, query: dict[str, Any] | None = None) -> dict[str, Any]:
    with unable(f"Unable to get {noun} '{name.path}'", texts.list_hint(noun)):
        return session.client.get(route(noun, name), query, namespace=name.namespace)


def show(session: Session, noun: str, args: Sequence[str], *, summary: bool, query: dict[str, Any] | None = None) -> None:
    """`get`: the whole entity, one field of it, or its summary."""
    field = args[1] if len(args) > 1 and not summary else ""
    if field:
        check_known(field, noun)
    name = session.name(args[0])
    show_entity(session, noun, name, fetch(session, noun, name, query), field=field, summary=summary)


def check_known(field: str, noun: str) -> None:
    check_field(field, FIELDS[noun], USAGE if noun == "action" else GENERAL)


def show_entity(
    session: Session, noun: str, name: QualifiedName, entity: Any, *, field: str = "", summary: bool = False
) -> None:
    output = session.output
    if summary and output.form is None:
        for line in summary_lines(noun, entity):
            output.text(line)
    elif field:
        output.got(f"got {noun} {bold(name.path)}, displaying field {bold(field)}", field_of(entity, field))
    else:
        output.got(f"got {noun} {bold(name.path)}", entity)


def remove(session: Session, noun: str, name: QualifiedName) -> None:
    with unable(f"Unable to delete {noun} '{name.path}'", texts.list_hint(noun)):
        data = session.client.delete(route(noun, name), namespace=name.namespace)
    session.output.ok(f"deleted {noun} {bold(name.path)}", data)


def put(session: Session, noun: str, name: QualifiedName, body: dict[str, Any], *, update: bool) -> Any:
    verb = "update" if update else "create"
    what = f"Unable to {verb} {noun}" + ("" if noun == "action" and update else f" '{name.path}'")
    with unable(what, {} if update else texts.exists_hint(noun)):
        return session.client.put(route(noun, name), body, overwrite=update, namespace=name.namespace)


def put_done(session: Session, noun: str, name: QualifiedName, data: Any, *, update: bool) -> None:
    session.output.ok(f"{'updated' if update else 'created'} {noun} {bold(name.path)}", data)


def rows(session: Session, collection: str, paging: Paging, namespace: str = "_", package: str = "") -> list[dict[str, Any]]:
    limit, skip = paging
    where = f"{collection}/{package}/" if package else collection
    with unable(texts.no_list(collection, namespace)):
        return session.client.rows(where, {"limit": limit, "skip": skip}, namespace=namespace)


def with_status(session: Session, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Lists leave out whether a rule is active: each is asked for again."""
    return [
        fetch(session, "rule", QualifiedName(str(rule.get("namespace", "_")), str(rule.get("name"))))
        for rule in rules
    ]


def list_collection(session: Session, collection: str, args: Sequence[str], paging: Paging, *, by_name: bool) -> None:
    """`list [NAMESPACE]`, for actions `list [NAMESPACE[/PACKAGE]]`."""
    name = session.scope(args[0]) if args else QualifiedName(session.properties.namespace, "")
    if name.path and (collection != "actions" or "/" in name.path):
        raise Failure(f"Invalid argument(s): {args[0]}. {texts.ONLY_NAMESPACE}", usage=True, hint="written /NAMESPACE")
    found = rows(session, collection, paging, name.namespace, name.path)
    if collection == "rules":
        found = with_status(session, found)
    print_entities(session.output, collection, found, by_name=by_name)
