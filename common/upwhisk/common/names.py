"""Namespaces, packages and entity names, parsed once at the edge.

Pattern and texts: `docs/wire.md`, "Names". A name is 1 to 256 characters from letters, digits, `_ @ . & -` and
blank; it begins with a letter, digit or underscore and does not end in a blank.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from upwhisk.common.errors import BadRequest

MAX_SEGMENT = 256
_SEGMENT = re.compile(r"\A([\w]|[\w][\w@ .&-]{0,254}[\w@.&-])\Z", re.ASCII)
_NEEDS_NAMESPACE = (
    "The fully qualified name of the entity must contain at least the namespace and the name of the entity."
)


class EntityName(NamedTuple):
    """A fully qualified name: `/namespace/name` or `/namespace/package/name`."""

    namespace: str
    package: str | None
    name: str

    @property
    def path(self) -> str:
        """What entities show as `namespace`: the namespace, with the package if there is one."""
        return self.namespace if self.package is None else f"{self.namespace}/{self.package}"

    @property
    def document_id(self) -> str:
        return f"{self.path}/{self.name}"

    @property
    def its_package(self) -> EntityName | None:
        return None if self.package is None else EntityName(self.namespace, None, self.package)

    def __str__(self) -> str:
        return f"/{self.document_id}"


def is_segment(text: str) -> bool:
    return _SEGMENT.match(text) is not None


def is_namespace(text: str) -> bool:
    """Whether a namespace may be called so. `_` always means the caller's own; with a `/` in it, it could be mistaken for
    another one's package."""
    return is_segment(text) and text != "_"


def check_namespace(text: str) -> str:
    """Return `text` if it can name a namespace; else `BadRequest` with the text clients compare."""
    if len(text) > MAX_SEGMENT:
        raise BadRequest(f"Namespace longer than allowed: {len(text)} > {MAX_SEGMENT}.")
    if not is_segment(text):
        raise BadRequest("The namespace contains illegal characters.")
    return text


def check_name(text: str) -> str:
    """Return `text` if it can name an entity; else `BadRequest` with the text clients compare."""
    if len(text) > MAX_SEGMENT:
        raise BadRequest(f"Name segement longer than allowed: {len(text)} > {MAX_SEGMENT}.")
    if not is_segment(text):
        raise BadRequest("The name of the entity contains illegal characters.")
    return text


def parse_reference(text: str, own_namespace: str) -> EntityName:
    """Read `/ns/name`, `/ns/pkg/name` (or `ns/...` without the slash) as rules and sequences write them.

    `_` as namespace means `own_namespace`. Raises `BadRequest` for a name without a namespace or a bad segment.
    """
    parts = text.removeprefix("/").split("/")
    if not 2 <= len(parts) <= 3:
        raise BadRequest(_NEEDS_NAMESPACE)
    namespace = own_namespace if parts[0] in ("_", "") else check_namespace(parts[0])
    names = [check_name(p) for p in parts[1:]]
    return EntityName(namespace, names[0] if len(names) == 2 else None, names[-1])
