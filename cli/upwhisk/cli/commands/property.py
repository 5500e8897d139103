"""`upwhisk property ...`."""

from __future__ import annotations

import os
from typing import Any

import click

from upwhisk.cli import texts
from upwhisk.cli.client import Client, base_url
from upwhisk.cli.failure import Failure, unable
from upwhisk.cli.options import Function, arguments, command, group
from upwhisk.cli.output import bold
from upwhisk.cli.session import Session
from upwhisk.cli.wskprops import DEFAULT_NAMESPACE, DEFAULT_VERSION, change_props, props_path

property_ = group("property", "Where the API is and which key is used (~/.wskprops).")
_LOCAL = {
    "cert": ("client cert\t\t", "cert"),
    "key": ("Client key\t\t", "key"),
    "auth": ("whisk auth\t\t", "auth"),
    "apihost": ("whisk API host\t\t", "api_host"),
    "apiversion": ("whisk API version\t", "api_version"),
}


def _flag(name: str, help: str) -> Function:
    return click.option(f"--{name}", name, is_flag=True, help=help)


@command(property_, "get", "property get", "property get --apihost")
@arguments("", 0, 0, texts.NO_ARGUMENTS)
@_flag("all", "Everything; also when no flag is given.")
@_flag("apihost", "API host.")
@_flag("auth", "Authorization key.")
@_flag("apiversion", "API version.")
@_flag("namespace", "Namespace that the key opens.")
@_flag("cert", "Client certificate.")
@_flag("key", "Key of the client certificate.")
@_flag("cliversion", "Version of this command.")
@_flag("apibuild", "Build of the API.")
@_flag("apibuildno", "Build number of the API.")
@click.option("-o", "--output", "form", type=click.Choice(["std", "raw", "json", "yaml", "table"]), default="std",
              help="std: wsk's lines, raw: the values alone, or the data in a form.")
def get(session: Session, args: tuple[str, ...], form: str, **wanted: bool) -> None:
    """Show the properties in use: from flags, the environment and the file, in this order."""
    properties = session.properties
    every = wanted["all"] or not any(wanted.values())
    shown: list[tuple[str, str, str]] = []
    for name, (label, field) in _LOCAL.items():
        if every or wanted[name]:
            shown.append((name, label, getattr(properties, field)))
    if every or wanted["namespace"]:
        shown.append(("namespace", "whisk namespace\t\t", _namespace(session)))
    if every or wanted["cliversion"]:
        from upwhisk.cli.version import installed_version

        shown.append(("cliversion", "whisk CLI version\t", installed_version()))
    failure = None
    if every or wanted["apibuild"] or wanted["apibuildno"]:
        build, failure = _build(session.client)
        asked = [n for n in ("apibuild", "apibuildno") if every or wanted[n]]
        labels = {"apibuild": "whisk API build\t\t", "apibuildno": "whisk API build number\t"}
        shown += [(name, labels[name], build[name]) for name in asked]
    _print(session, form if form != "std" else session.flags.get("output") or "std", shown)
    if failure is not None:
        raise failure


def _print(session: Session, form: str, shown: list[tuple[str, str, str]]) -> None:
    if form in ("std", "raw"):
        for _, label, value in shown:
            session.output.text(value if form == "raw" else label + bold(value))
    else:
        session.output.form = form
        session.output.data({name: value for name, _, value in shown})


def _namespace(session: Session) -> str:
    try:
        names = session.client.namespaces()
    except Failure:
        return session.properties.namespace
    return names[0] if names else session.properties.namespace


def _build(client: Client) -> tuple[dict[str, str], Failure | None]:
    try:
        with unable("Unable to obtain API build information"):
            info = client.info()
    except Failure as failure:
        return {"apibuild": "Unknown", "apibuildno": "Unknown"}, failure
    return {"apibuild": str(info.get("build", "")), "apibuildno": str(info.get("buildno", ""))}, None


@command(property_, "set", "property set --apihost http://127.0.0.1:3233", "property set --auth UUID:KEY")
@arguments("", 0, 0, texts.NO_ARGUMENTS)
@click.option("--apihost", metavar="HOST", help="API host; http:// or https:// may stand before it.")
@click.option("-u", "--auth", metavar="KEY", help="Authorization key, UUID:KEY.")
@click.option("--apiversion", metavar="VERSION", help="API version.")
@click.option("--namespace", metavar="NAMESPACE", help="Namespace (deprecated: the key decides).")
@click.option("--cert", metavar="FILE", help="Client certificate.")
@click.option("--key", metavar="FILE", help="Key of the client certificate.")
def set_(session: Session, args: tuple[str, ...], **given: str | None) -> None:
    """Write properties to ~/.wskprops, or to the file that WSK_CONFIG_FILE names."""
    host = given["apihost"]
    if host is not None:
        _check_host(host)
    if given["namespace"]:
        _check_namespace(session, given["namespace"], host, given["auth"])
    changes = {name.upper(): value for name, value in given.items() if value}
    change_props(props_path(os.environ), dict(changes))
    said = {
        "CERT": f"client cert set. Run '{texts.PROGRAM} property get --cert' to see the new value.",
        "KEY": f"client key set. Run '{texts.PROGRAM} property get --key' to see the new value.",
        "AUTH": f"whisk auth set. Run '{texts.PROGRAM} property get --auth' to see the new value.",
        "APIHOST": f"whisk API host set to {bold(host)}",
        "APIVERSION": f"whisk API version set to {bold(given['apiversion'])}",
        "NAMESPACE": f"whisk namespace set to {bold(given['namespace'])}",
    }
    _tell(session, {name: text for name, text in said.items() if name in changes}, "nothing to set: see --help")


def _check_host(host: str) -> None:
    try:
        base_url(host)
    except Failure as failure:
        text = f"Unable to set API host value; the API host value '{host}' is invalid: {failure.text}"
        raise Failure(text, usage=True, hint="for instance http://127.0.0.1:3233") from None


def _tell(session: Session, said: dict[str, str], nothing: str) -> None:
    if not said:
        raise Failure(f"Invalid argument(s). {nothing}", usage=True)
    if session.output.form is not None:
        session.output.data(sorted(said))
        return
    for text in said.values():
        session.output.ok(text)


def _check_namespace(session: Session, name: str, host: str | None, auth: str | None) -> None:
    """`host`, `auth`: what the same command sets holds already."""
    session.flags |= {flag: value for flag, value in (("api_host", host), ("auth", auth)) if value}
    with unable(f"Unable to ask which namespaces the key opens; namespace '{name}' not set"):
        names = session.client.namespaces()
    if name not in names:
        raise Failure(f"Namespace '{name}' is not in the list of entitled namespaces")


@command(property_, "unset", "property unset --auth", "property unset --apihost --apiversion")
@arguments("", 0, 0, texts.NO_ARGUMENTS)
@_flag("apihost", "API host.")
@_flag("auth", "Authorization key.")
@_flag("apiversion", "API version.")
@_flag("namespace", "Namespace.")
@_flag("cert", "Client certificate.")
@_flag("key", "Key of the client certificate.")
def unset(session: Session, args: tuple[str, ...], **given: bool) -> None:
    """Remove properties from the file."""
    changes: dict[str, Any] = {name.upper(): None for name, is_given in given.items() if is_given}
    change_props(props_path(os.environ), changes)
    said = {
        "CERT": "client cert unset.",
        "KEY": "client key unset.",
        "AUTH": "whisk auth unset.",
        "NAMESPACE": f"whisk namespace unset; the default value of {bold(DEFAULT_NAMESPACE)} will be used.",
        "APIHOST": "whisk API host unset.",
        "APIVERSION": f"whisk API version unset; the default value of {bold(DEFAULT_VERSION)} will be used.",
    }
    _tell(session, {name: text for name, text in said.items() if name in changes}, "nothing to unset: see --help")


