"""`upwhisk rule ...`."""

from __future__ import annotations

from typing import Any

import click

from upwhisk.cli import entities, texts
from upwhisk.cli.failure import unable
from upwhisk.cli.options import arguments, command, group, with_name_sort, with_paging
from upwhisk.cli.output import bold
from upwhisk.cli.qualified import QualifiedName, full_name
from upwhisk.cli.session import Session

rule = group("rule", "Say which action runs when a trigger fires.")
_THREE = ("rules", "triggers", "actions")


def _put(session: Session, args: tuple[str, ...], *, update: bool) -> None:
    name, namespace = session.name(args[0]), session.properties.namespace
    body = {
        "name": name.path,
        "status": "",
        "trigger": full_name(args[1], namespace),
        "action": full_name(args[2], namespace),
    }
    data = entities.put(session, "rule", name, body, update=update)
    entities.put_done(session, "rule", name, data, update=update)


@command(rule, "create", "rule create on-upload upload resize", "rule create log-all upload mypackage/log")
@arguments("RULE_NAME TRIGGER_NAME ACTION_NAME", 3, 3, texts.RULE_TRIGGER_ACTION, names=_THREE)
def create(session: Session, args: tuple[str, ...]) -> None:
    """Create a rule: when the trigger fires, the action runs. It is active at once."""
    _put(session, args, update=False)


@command(rule, "update", "rule update on-upload upload resize2", "rule update on-upload other-trigger resize")
@arguments("RULE_NAME TRIGGER_NAME ACTION_NAME", 3, 3, texts.RULE_TRIGGER_ACTION, names=_THREE)
def update(session: Session, args: tuple[str, ...]) -> None:
    """Change a rule, or create it."""
    _put(session, args, update=True)


@command(rule, "get", "rule get on-upload", "rule get on-upload status")
@arguments("RULE_NAME [FIELD]", 1, 2, texts.RULE_NAME, names=("rules", ""))
@click.option("-s", "--summary", is_flag=True, help="Its name and status.")
def get(session: Session, args: tuple[str, ...], summary: bool) -> None:
    """Show a rule, or one field of it."""
    entities.show(session, "rule", args, summary=summary)


@command(rule, "list", "rule list", "rule list --name-sort")
@arguments("[/NAMESPACE]", 0, 1, texts.ONLY_NAMESPACE)
@with_paging
@with_name_sort
def list_(session: Session, args: tuple[str, ...], limit: int, skip: int, by_name: bool) -> None:
    """List rules and whether they are active, newest first."""
    entities.list_collection(session, "rules", args, (limit, skip), by_name=by_name)


@command(rule, "enable", "rule enable on-upload", "rule enable /guest/on-upload")
@arguments("RULE_NAME", 1, 1, texts.RULE_NAME, names=("rules",))
def enable(session: Session, args: tuple[str, ...]) -> None:
    """Let a rule work."""
    _set(session, session.name(args[0]), "enable")


@command(rule, "disable", "rule disable on-upload", "rule disable /guest/on-upload")
@arguments("RULE_NAME", 1, 1, texts.RULE_NAME, names=("rules",))
def disable(session: Session, args: tuple[str, ...]) -> None:
    """Let a rule rest; it stays and can be enabled again."""
    _set(session, session.name(args[0]), "disable")


def _set(session: Session, name: QualifiedName, verb: str) -> None:
    status = _post_status(session, name, verb)
    session.output.ok(f"{verb}d rule {bold(name.path)}", {"name": name.path, "status": status})


def _post_status(session: Session, name: QualifiedName, verb: str) -> str:
    status = "active" if verb == "enable" else "inactive"
    with unable(f"Unable to {verb} rule '{name.path}'", texts.list_hint("rule")):
        body: dict[str, Any] = {"status": status, "trigger": None, "action": None}
        session.client.call("POST", f"rules/{name.path}", body=body, namespace=name.namespace)
    return status


@command(rule, "status", "rule status on-upload", "rule status on-upload --output json")
@arguments("RULE_NAME", 1, 1, texts.RULE_NAME, names=("rules",))
def status(session: Session, args: tuple[str, ...]) -> None:
    """Say whether a rule is active."""
    name = session.name(args[0])
    with unable(f"Unable to get status of rule '{name.path}'", texts.list_hint("rule")):
        found = session.client.get(f"rules/{name.path}", namespace=name.namespace)
    session.output.ok(f"rule {bold(name.path)} is {bold(found.get('status'))}", {"name": name.path, "status": found.get("status")})


@command(rule, "delete", "rule delete on-upload", "rule delete on-upload --disable")
@arguments("RULE_NAME", 1, 1, texts.RULE_NAME, names=("rules",))
@click.option("--disable", "disables", is_flag=True, help="Disable it first.")
def delete(session: Session, args: tuple[str, ...], disables: bool) -> None:
    """Delete a rule. Trigger and action stay."""
    name = session.name(args[0])
    if disables:
        _post_status(session, name, "disable")
    entities.remove(session, "rule", name)
