"""Calling an action and reading the outcome as `wsk` does."""

from __future__ import annotations

from typing import Any

from upwhisk.cli import texts
from upwhisk.cli.client import Reply, exit_code, refusal
from upwhisk.cli.failure import ACCEPTED, ClientError, unable
from upwhisk.cli.output import bold
from upwhisk.cli.qualified import QualifiedName
from upwhisk.cli.session import Session


def invoke_action(session: Session, name: QualifiedName, arguments: dict[str, Any], *, blocking: bool, result: bool) -> int:
    """Call and print; the exit code. 0: it did what it should, 202: it goes on, 246: the action itself failed."""
    with unable(f"Unable to invoke action '{name.path}'", texts.list_hint("action")):
        reply = post(session, name, arguments, blocking=blocking, result=result)
    if blocking and reply.status == ACCEPTED:
        _print_unfinished(session, name, reply)
        return ACCEPTED
    _print_outcome(session, name, reply, blocking=blocking, header=not result)
    return 0 if reply.status < 300 else exit_code(reply.status)


def post(session: Session, name: QualifiedName, arguments: dict[str, Any], *, blocking: bool, result: bool) -> Reply:
    """The answer: 2xx, or a 502 that carries what the action itself failed with. `ClientError` for all others."""
    query = {"blocking": blocking, "result": result}
    reply = session.client.send("POST", f"actions/{name.path}", query, arguments, namespace=name.namespace)
    failed_inside = reply.status == 502 and not (isinstance(reply.data, dict) and {"error", "code"} <= reply.data.keys())
    if failed_inside:
        return reply
    if not 200 <= reply.status < 300:
        raise refusal(reply)
    response = reply.data.get("response") if isinstance(reply.data, dict) and not result else None
    if isinstance(response, dict) and response.get("success") is False:
        raise ClientError(texts.no_answer(reply.status), exit_code(reply.status), status=reply.status)
    return reply


def _print_unfinished(session: Session, name: QualifiedName, reply: Reply) -> None:
    text = f"invoked /{bold(name.namespace)}/{bold(name.path)}, but the request has not yet finished, with id {bold(_id(reply))}"
    session.output.ok(text, reply.data)


def _print_outcome(session: Session, name: QualifiedName, reply: Reply, *, blocking: bool, header: bool) -> None:
    output, data = session.output, reply.data
    if header:
        text = f"invoked /{bold(name.namespace)}/{bold(name.path)} with id {bold(_id(reply))}"
        output.got(text, data) if blocking else output.ok(text, data)
    else:
        output.data(data)


def _id(reply: Reply) -> str:
    """A result that is an array is answered bare: then only the header says which activation it was."""
    named = reply.data.get("activationId") if isinstance(reply.data, dict) else None
    return str(named or reply.activation_id)
