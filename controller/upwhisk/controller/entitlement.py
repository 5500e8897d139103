"""May this identity do this here? ◆ pure.

Own namespace: everything. Other namespaces: reading and invoking the actions of shared packages, reading shared
packages, and listing them. The text of a refusal never says whether a foreign entity exists.
"""

from __future__ import annotations

from upwhisk.common.errors import NotAuthorized
from upwhisk.common.model.identity import Identity
from upwhisk.common.names import EntityName
from upwhisk.controller.resolved import ResolvedAction


def refused(resource: str) -> NotAuthorized:
    return NotAuthorized(f"The supplied authentication is not authorized to access '{resource}'.")


def refused_entity(name: EntityName) -> NotAuthorized:
    """A packaged action is refused in the name of its package."""
    return refused(f"{name.namespace}/{name.package or name.name}")


def check_own(identity: Identity, name: EntityName) -> None:
    """Writing, firing, and everything about triggers and rules."""
    if identity.namespace != name.namespace:
        raise refused_entity(name)


def check_action(identity: Identity, name: EntityName, found: ResolvedAction | None) -> None:
    """Reading and running: one's own, and those of shared packages. `found` is what `name` stands for, if anything."""
    if identity.namespace != name.namespace and (found is None or not found.shared):
        raise refused_entity(name)


def check_namespace(identity: Identity, namespace: str) -> None:
    """Lists, activations and limits."""
    if identity.namespace != namespace:
        raise refused(namespace)


def check_kind(identity: Identity, kind: str) -> None:
    """The namespace may be restricted to some kinds."""
    allowed = identity.limits.allowed_kinds
    if allowed is not None and kind not in allowed:
        raise NotAuthorized(
            f"The supplied authentication is not authorized to access actions of kind '{kind}'."
        )
