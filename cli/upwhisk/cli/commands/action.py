"""`upwhisk action ...`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from upwhisk.cli import entities, texts
from upwhisk.cli.artifacts import ExecFlags, changed_exec, exec_of, save_code
from upwhisk.cli.client import base_url
from upwhisk.cli.commands.invocation import invoke_action
from upwhisk.cli.failure import NOT_FOUND, Failure, invalid, unable
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
from upwhisk.cli.parameters import as_key_values, as_object, lookup
from upwhisk.cli.qualified import QualifiedName
from upwhisk.cli.session import Session
from upwhisk.cli.web import EXPORT, removed_secret, web_annotations

action = group("action", "Create, change, call and look at actions.")
_LIMITS = ("timeout", "memory", "logs", "concurrency")


def _definition(function: Function) -> Function:
    """The flags that say what an action is, shared by `create` and `update`."""
    flags = (
        click.option("--kind", default="", metavar="KIND", help="Runtime, for instance python:default or nodejs:20."),
        click.option("--main", default="", metavar="NAME", help="Function that is called. [default: main]"),
        click.option("--docker", default="", metavar="IMAGE", help="Run the action in this Docker image."),
        click.option("--native", is_flag=True, help="ACTION is an executable: a script, a program, or a zip with one called exec."),
        click.option("--sequence", is_flag=True, help="ACTION is a comma-separated list of actions, run one after another."),
        click.option("--copy", is_flag=True, help="ACTION is the name of another action."),
        click.option("--web", metavar="MODE", help="Web action: yes or true, raw, no or false."),
        click.option("--web-secure", metavar="SECRET", help="Secret for callers of the web action: a text, true (make one), false."),
        click.option("-t", "--timeout", type=int, metavar="MS", help="Longest run, in milliseconds. [default: 60000]"),
        click.option("-m", "--memory", type=int, metavar="MB", help="Memory. [default: 256]"),
        click.option("-l", "--logsize", "logs", type=int, metavar="MB", help="Most log output that is kept. [default: 10]"),
        click.option("-c", "--concurrency", type=int, metavar="N", help="Activations at once in one container. [default: 1]"),
    )
    for flag in reversed(flags):
        function = flag(function)
    return with_parameters(with_annotations(function))


@command(action, "create", "action create hello hello.py", "action create resize thumb/ --memory 512 --param width 200",
         "action create both --sequence hello,resize")
@arguments("ACTION_NAME ACTION", 1, 2, texts.ACTION_AND_CODE, names=("", "file"))
@_definition
def create(session: Session, args: tuple[str, ...], **flags: Any) -> None:
    """Create an action.

    ACTION is a file (its extension tells the runtime), a zip (name the runtime with --kind), or a folder with a
    package.json (Node), __main__.py (Python) or exec (native), which is sent as a zip.
    """
    name = session.name(args[0])
    body = _body(session, name, args, flags)
    if "exec" not in body:
        raise invalid(texts.ACTION_AND_CODE)
    _set_annotations(body, None, flags)
    data = entities.put(session, "action", name, body, update=False)
    entities.put_done(session, "action", name, data, update=False)


@command(action, "update", "action update hello hello.py", "action update hello --memory 512 --param greeting Hi")
@arguments("ACTION_NAME [ACTION]", 1, 2, texts.ACTION_OPTIONAL_CODE, names=("actions", "file"))
@_definition
@click.option("--del-annotation", "deleted", multiple=True, metavar="KEY", help="Remove this annotation. Repeatable.")
def update(session: Session, args: tuple[str, ...], deleted: tuple[str, ...], **flags: Any) -> None:
    """Change an action, or create it.

    What no flag names stays as it is. Without ACTION, --kind, --main and --native are said of the code that the action
    has: its runtime or its function changes. --docker alone drops the code.
    """
    name, how = session.name(args[0]), _exec_flags(args, flags)
    body = _body(session, name, args, flags)
    keeps_code = "exec" not in body and how.change_code
    old = _existing(session, name, code=keeps_code)
    if keeps_code:
        if old is None:
            raise invalid(texts.ACTION_AND_CODE)
        body["exec"] = changed_exec(old.get("exec") or {}, how)
    _set_annotations(body, old, flags)
    removed = (*deleted, *removed_secret(body.get("annotations", []), (old or {}).get("annotations"), flags["web_secure"]))
    if removed:
        body["delAnnotations"] = list(dict.fromkeys(removed))
    data = entities.put(session, "action", name, body, update=True)
    entities.put_done(session, "action", name, data, update=True)


def _body(session: Session, name: QualifiedName, args: tuple[str, ...], flags: dict[str, Any]) -> dict[str, Any]:
    """What a PUT carries, as far as the flags tell."""
    how = _exec_flags(args, flags)
    body: dict[str, Any] = {"namespace": name.namespace, "name": name.path}
    parameters = as_key_values(flags["params"], flags["param_files"])
    annotations = as_key_values(flags["annotations"], flags["annotation_files"])
    if flags["copy"]:
        if how.artifact is None:
            raise invalid(texts.ACTION_AND_CODE)
        source = entities.fetch(session, "action", session.name(how.artifact), {"code": True})
        body["exec"] = changed_exec(source.get("exec") or {}, how)
        parameters += source.get("parameters") or []
        annotations += source.get("annotations") or []
    else:
        body["exec"] = exec_of(how, session.properties.namespace)
    body |= {"annotations": annotations, "parameters": parameters}
    body["limits"] = {key: flags[key] for key in _LIMITS if flags[key] is not None}
    return {key: value for key, value in body.items() if value}


def _exec_flags(args: tuple[str, ...], flags: dict[str, Any]) -> ExecFlags:
    words = {key: flags[key] for key in ("kind", "docker", "main", "native", "sequence")}
    return ExecFlags(args[1] if len(args) > 1 else None, **words)


def _existing(session: Session, name: QualifiedName, *, code: bool) -> dict[str, Any] | None:
    try:
        with unable(f"Unable to get action '{name.path}'"):
            return session.client.get(entities.route("action", name), {"code": code}, namespace=name.namespace)
    except Failure as failure:
        if failure.code != NOT_FOUND:
            raise
        return None


def _set_annotations(body: dict[str, Any], old: dict[str, Any] | None, flags: dict[str, Any]) -> None:
    before = old.get("annotations") or [] if old is not None else None
    annotations = web_annotations(body.get("annotations", []), before, flags["web"], flags["web_secure"])
    if annotations:
        body["annotations"] = annotations


@command(action, "get", "action get hello", "action get hello limits", "action get hello --save-as hello.py")
@arguments("ACTION_NAME [FIELD]", 1, 2, texts.ACTION_NAME, names=("actions", ""))
@click.option("-s", "--summary", is_flag=True, help='What it is for; "*" marks bound parameters, "**" final ones.')
@click.option("-r", "--url", is_flag=True, help="Print its URL.")
@click.option("--save", is_flag=True, help="Save the code to a file named after the action.")
@click.option("--save-as", default="", metavar="FILE", help="Save the code to FILE.")
def get(session: Session, args: tuple[str, ...], summary: bool, url: bool, save: bool, save_as: str) -> None:
    """Show an action, one field of it, its URL, or save its code."""
    saves = save or bool(save_as)
    query = {"code": saves}
    if not (url or saves):
        entities.show(session, "action", args, summary=summary, query=query)
        return
    name = session.name(args[0])
    found = entities.fetch(session, "action", name, query)
    if url:
        address = _url(session, found, name)
        session.output.ok(f"got action {bold(name.entity)}", {"url": address})
        if session.output.form is None:
            session.output.text(address)
    else:
        path = save_code(found, save_as)
        session.output.ok(f"saved action code to {bold(path)}", {"file": path})


def _url(session: Session, found: dict[str, Any], name: QualifiedName) -> str:
    """The web address if it is a web action, else the one it is invoked at."""
    base = f"{base_url(session.properties.api_host)}/api/{session.properties.api_version}"
    namespace, _, package = str(found.get("namespace", "")).partition("/")
    entity = quote(str(found.get("name", name.entity)))
    if lookup(found.get("annotations"), EXPORT) is True:
        return f"{base}/web/{quote(namespace)}/{quote(package or 'default')}/{entity}"
    within = f"{quote(package)}/" if package else ""
    return f"{base}/namespaces/{quote(namespace)}/actions/{within}{entity}"


@command(action, "list", "action list", "action list /guest/mypackage --limit 5")
@arguments("[/NAMESPACE | PACKAGE_NAME]", 0, 1, texts.ONLY_NAMESPACE, names=("packages",))
@with_paging
@with_name_sort
def list_(session: Session, args: tuple[str, ...], limit: int, skip: int, by_name: bool) -> None:
    """List the actions of a namespace or a package, newest first."""
    entities.list_collection(session, "actions", args, (limit, skip), by_name=by_name)


@command(action, "invoke", "action invoke hello --result --param name World", "action invoke hello --blocking -P input.json")
@arguments("ACTION_NAME", 1, 1, texts.ACTION_NAME, names=("actions",))
@click.option("-b", "--blocking", is_flag=True, help="Wait for the end and show the whole record.")
@click.option("-r", "--result", is_flag=True, help="Wait for the end and show the result alone.")
@with_parameters
def invoke(
    session: Session, args: tuple[str, ...], blocking: bool, result: bool, params: Any, param_files: tuple[str, ...]
) -> int:
    """Call an action. Without -b or -r it only starts; ask for its record with 'activation get ID'."""
    name = session.name(args[0])
    return invoke_action(session, name, as_object(params, param_files), blocking=blocking or result, result=result)


@command(action, "delete", "action delete hello", "action delete mypackage/hello")
@arguments("ACTION_NAME", 1, 1, texts.ACTION_NAME, names=("actions",))
def delete(session: Session, args: tuple[str, ...]) -> None:
    """Delete an action."""
    entities.remove(session, "action", session.name(args[0]))


