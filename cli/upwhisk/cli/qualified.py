"""Names as people write them: `N`, `PKG/N`, `/NS/N`, `/NS/PKG/N`."""

from __future__ import annotations

from typing import NamedTuple

from upwhisk.cli.failure import GENERAL, Failure


class QualifiedName(NamedTuple):
    """`path` is what follows the collection in the URL: `N` or `PKG/N`; empty for a bare `/NS`."""

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
    """Read `text`; `namespace` is used where it names none. `Failure` if it is no name."""
    parts = text.split("/")
    if len(parts) == 3 and parts[0]:
        parts = ["", *parts]
    if parts[0]:
        name = QualifiedName(namespace, text)
    else:
        name = QualifiedName(parts[1] if len(parts) > 1 else "", "/".join(parts[2:]))
        parts = parts[1:]
    if len(parts) > 3 or not parts or any(part in ("", ".", "..") for part in parts):
        raise Failure(
            f"'{text}' is not a valid qualified name: A valid qualified name must be specified.",
            GENERAL,
            usage=True,
            hint="a name is written N, PACKAGE/N, /NAMESPACE/N or /NAMESPACE/PACKAGE/N",
        )
    return name


def full_name(text: str, namespace: str) -> str:
    """As rules and sequences refer to others: `/_/N`, or `text` itself where it names a namespace."""
    if text.startswith("/"):
        return text
    return f"/{text}" if text.count("/") == 2 else f"/{namespace}/{text}"
