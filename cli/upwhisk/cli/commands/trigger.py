"""`upwhisk trigger ...`."""

from __future__ import annotations

from typing import Any

import click

from upwhisk.cli import entities, texts
from upwhisk.cli.commands.feed import call_feed, feed_of
from upwhisk.cli.failure import NOT_FOUND, Failure, unable
from upwhisk.cli.options import (
    arguments,
    command,
    group,
    with_annotations,
    with_feed_parameters,
    with_name_sort,
    with_paging,
    with_parameters,
)
from upwhisk.cli.output import bold, print_hint
from upwhisk.cli.parameters import KeyValues, as_key_values, as_object, value_of
from upwhisk.cli.qualified import QualifiedName
from upwhisk.cli.session import Session

trigger = group("trigger", "Events that rules wait for.")


def _body(name: QualifiedName, annotations: KeyValues, parameters: KeyValues) -> dict[str, Any]:
    body: dict[str, Any] = {"name": name.path, "annotations": annotations, "parameters": parameters}
    return {key: value for key, value in body.items() if value}


@command(trigger, "create", "trigger create upload", "trigger create upload --param bucket photos")
@arguments("TRIGGER_NAME", 1, 1, texts.TRIGGER_NAME)
@with_annotations
@with_parameters
@click.option("-f", "--feed", metavar="ACTION_NAME", help="Feed that fires it; -p goes to the feed, -T to the trigger.")
@with_feed_parameters
def create(session: Session, args: tuple[str, ...], feed: str | None, **flags: Any) -> None:
    """Create a trigger. Rules say what runs when it fires."""
    name = session.name(args[0])
    annotations = as_key_values(flags["annotations"], flags["annotation_files"])
    if feed is None:
        parameters = as_key_values((*flags["params"], *flags["trigger_params"]), flags["param_files"])
        data = entities.put(session, "trigger", name, _body(name, annotations, parameters), update=False)
        entities.put_done(session, "trigger", name, data, update=False)
        return
    annotations.append({"key": "feed", "value": feed})
    body = _body(name, annotations, as_key_values(flags["trigger_params"], ()))
    data = entities.put(session, "trigger", name, body, update=False)
    try:
        given = as_object((*flags["params"], *flags["feed_params"]), flags["param_files"])
        call_feed(session, feed, "CREATE", name, given)
    except Failure:
        _delete(session, name, whatever_the_feed_says=True)
        raise
    entities.put_done(session, "trigger", name, data, update=False)


@command(trigger, "update", "trigger update upload --param bucket pictures", "trigger update upload -a description Uploads")
@arguments("TRIGGER_NAME", 1, 1, texts.TRIGGER_NAME, names=("triggers",))
@with_annotations
@with_parameters
@with_feed_parameters
def update(session: Session, args: tuple[str, ...], **flags: Any) -> None:
    """Change a trigger, or create it."""
    name = session.name(args[0])
    old: Any = None
    try:
        old = entities.fetch(session, "trigger", name)
    except Failure as failure:
        if failure.code != NOT_FOUND:
            raise
    feed = feed_of(old)
    annotations = as_key_values(flags["annotations"], flags["annotation_files"])
    pairs = flags["trigger_params"] if feed else (*flags["params"], *flags["trigger_params"])
    body = _body(name, annotations, as_key_values(pairs, () if feed else flags["param_files"]))
    data = entities.put(session, "trigger", name, body, update=True)
    if feed:
        given = as_object((*flags["params"], *flags["feed_params"]), flags["param_files"])
        call_feed(session, feed, "UPDATE", name, given)
    entities.put_done(session, "trigger", name, data, update=True)


@command(trigger, "get", "trigger get upload", "trigger get upload rules")
@arguments("TRIGGER_NAME [FIELD]", 1, 2, texts.TRIGGER_NAME, names=("triggers", ""))
@click.option("-s", "--summary", is_flag=True, help="What it is for and which parameters it has.")
def get(session: Session, args: tuple[str, ...], summary: bool) -> None:
    """Show a trigger, or one field of it."""
    field = args[1] if len(args) > 1 else ""
    if field:
        entities.check_known(field, "trigger")
    name = session.name(args[0])
    found = entities.fetch(session, "trigger", name)
    feed = feed_of(found)
    if feed:
        session.output.data(call_feed(session, feed, "READ", name, {}))
    else:
        entities.show_entity(session, "trigger", name, found, field="" if summary else field, summary=summary)


@command(trigger, "list", "trigger list", "trigger list --limit 5 --name-sort")
@arguments("[/NAMESPACE]", 0, 1, texts.ONLY_NAMESPACE)
@with_paging
@with_name_sort
def list_(session: Session, args: tuple[str, ...], limit: int, skip: int, by_name: bool) -> None:
    """List triggers, newest first."""
    entities.list_collection(session, "triggers", args, (limit, skip), by_name=by_name)


@command(trigger, "fire", "trigger fire upload --param file photo.jpg", "trigger fire upload '{\"file\": \"photo.jpg\"}'")
@arguments("TRIGGER_NAME [PAYLOAD]", 1, 2, texts.TRIGGER_AND_PAYLOAD, names=("triggers", ""))
@with_parameters
def fire(session: Session, args: tuple[str, ...], params: Any, param_files: tuple[str, ...]) -> None:
    """Fire a trigger: the action of each active rule runs once. PAYLOAD is a JSON object, or a text."""
    name = session.name(args[0])
    payload = as_object(params, param_files)
    if len(args) > 1:
        given = value_of(args[1])
        payload = (given if isinstance(given, dict) else {"payload": given}) | payload
    with unable(f"Unable to fire trigger '{name.path}'", texts.list_hint("trigger")):
        reply = session.client.call("POST", f"triggers/{name.path}", body=payload, namespace=name.namespace)
    fired = reply.data.get("activationId", "") if isinstance(reply.data, dict) else ""
    text = f"triggered /{bold(name.namespace)}/{bold(name.path)} with id {bold(fired) if fired else ''}"
    session.output.ok(text, reply.data or {"activationId": None})
    if reply.status == 204:
        print_hint(f"no active rule is attached, so nothing ran; '{texts.PROGRAM} rule list' shows the rules")


@command(trigger, "delete", "trigger delete upload", "trigger delete /guest/upload")
@arguments("TRIGGER_NAME", 1, 1, texts.TRIGGER_NAME, names=("triggers",))
def delete(session: Session, args: tuple[str, ...]) -> None:
    """Delete a trigger. Its rules stay and do nothing."""
    name = session.name(args[0])
    data = _delete(session, name)
    session.output.ok(f"deleted trigger {bold(name.path)}", data)


def _delete(session: Session, name: QualifiedName, *, whatever_the_feed_says: bool = False) -> Any:
    feed = feed_of(entities.fetch(session, "trigger", name))
    if feed:
        try:
            call_feed(session, feed, "DELETE", name, {})
        except Failure:
            if not whatever_the_feed_says:
                raise
    with unable(f"Unable to delete trigger '{name.path}'"):
        return session.client.delete(f"triggers/{name.path}", namespace=name.namespace)
