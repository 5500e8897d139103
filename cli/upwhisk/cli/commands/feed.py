"""The calls by which a feed learns of a trigger."""

from __future__ import annotations

from typing import Any

from upwhisk.cli.commands.invocation import post
from upwhisk.cli.failure import GENERAL, Failure, unable
from upwhisk.cli.parameters import lookup
from upwhisk.cli.qualified import QualifiedName
from upwhisk.cli.session import Session


def feed_of(trigger: Any) -> str:
    """The feed action that a trigger is annotated with; empty if there is none."""
    found = lookup(trigger.get("annotations"), "feed") if isinstance(trigger, dict) else None
    return found if isinstance(found, str) else ""


def call_feed(session: Session, feed: str, event: str, trigger: QualifiedName, arguments: dict[str, Any]) -> Any:
    """Invoke the feed action and wait. `Failure` if it cannot be called, fails or does not end in time."""
    action = session.name(feed)
    told = {"lifecycleEvent": event, "triggerName": str(trigger), "authKey": session.properties.auth}
    what = f"Unable to configure feed '{feed}' of trigger '{trigger.path}'"
    with unable(what):
        reply = post(session, action, {**arguments, **told}, blocking=True, result=False)
    if reply.status != 200:
        failed = reply.data.get("activationId", "") if isinstance(reply.data, dict) else ""
        raise Failure(
            f"{what}: the feed action failed (HTTP status code {reply.status})",
            GENERAL if reply.status == 202 else 246,
            hint=f"'upwhisk activation get {failed}' shows why" if failed else "",
        )
    return reply.data
