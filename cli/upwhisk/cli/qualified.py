"""Names as people write them: `N`, `PKG/N`, `/NS/N`, `/NS/PKG/N`."""

from __future__ import annotations

from typing import NamedTuple

from upwhisk.cli.failure import GENERAL, Failure


class QualifiedName(NamedTuple):
    """`path` is what follows the collection in the URL: `N` or `PKG/N`; empty for a bare `/NS`, which lists alone take."""

    namespace: str
    path: str

    @property
    def package(self) -> str:
        return self.path.rpartition("/")[0]

    @property
    def entity(self) -> str:
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return f"/{self.namespace}/{self.path}"


def qualified(text: str, namespace: str) -> QualifiedName:
    """The name of an entity; `namespace` is used where `text` names none. `Failure` if it is no name."""
    name = scope(text, namespace)
    if not name.path:
        raise _no_name(text)
    return name


def scope(text: str, namespace: str) -> QualifiedName:
    """What a list is asked for: a name, or a bare `/NS`. `Failure` if it is neither."""
    parts = text.split("/")
    if len(parts) == 3 and parts[0]:
        parts = ["", *parts]
    if parts[0]:
        name = QualifiedName(namespace, text)
    else:
        name = QualifiedName(parts[1] if len(parts) > 1 else "", "/".join(parts[2:]))
        parts = parts[1:]
    if len(parts) > 3 or not parts or any(part in ("", ".", "..") for part in parts):
        raise _no_name(text)
    return name


def _no_name(text: str) -> Failure:
    return Failure(
        f"'{text}' is not a valid qualified name: A valid qualified name must be specified.",
        GENERAL,
        usage=True,
        hint="a name is written N, PACKAGE/N, /NAMESPACE/N or /NAMESPACE/PACKAGE/N",
    )


def full_name(text: str, namespace: str) -> str:
    """As rules and sequences refer to others: `/_/N`, or with the namespace that `text` names. `Failure` as above."""
    return str(qualified(text, namespace))
