"""What one call of the command shares: flags that any command takes, the properties, the client, the output."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from upwhisk.cli.output import Output
from upwhisk.cli.qualified import QualifiedName, qualified, scope
from upwhisk.cli.wskprops import Properties, resolve

if TYPE_CHECKING:
    from upwhisk.cli.client import Client

_PROPERTY_FLAGS = ("api_host", "auth", "api_version", "cert", "key")


class Session:
    """`flags`: what was given on the command line, by the names in `upwhisk.cli.options`."""

    def __init__(self) -> None:
        self.flags: dict[str, Any] = {}

    @cached_property
    def properties(self) -> Properties:
        return resolve({name: self.flags[name] for name in _PROPERTY_FLAGS if self.flags.get(name)}, os.environ)

    @cached_property
    def client(self) -> Client:
        from upwhisk.cli.client import Client  # commands that need no request do not pay for it

        verbose = bool(self.flags.get("verbose") or self.flags.get("debug"))
        return Client(self.properties, insecure=bool(self.flags.get("insecure")), verbose=verbose)

    @cached_property
    def output(self) -> Output:
        return Output(self.flags.get("output"))

    def name(self, text: str) -> QualifiedName:
        """The name of an entity."""
        return qualified(text, self.properties.namespace)

    def scope(self, text: str) -> QualifiedName:
        """What a list is asked for: a name, or a bare `/NAMESPACE`."""
        return scope(text, self.properties.namespace)


def current_session() -> Session:
    """The session of the command that runs, or of the one whose arguments are being completed."""
    root = click.get_current_context().find_root()
    if not isinstance(root.obj, Session):
        root.obj = Session()
    return root.obj
