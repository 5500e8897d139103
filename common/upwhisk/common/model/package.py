"""A package: a folder of actions with parameters of its own."""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.common.model.parameters import Parameters
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import Document


class Binding(msgspec.Struct, frozen=True):
    """The package that a binding stands for."""

    namespace: str
    name: str


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """`name.package` is always None. `publish`: shared, i.e. readable and callable by everybody."""

    name: EntityName
    parameters: Parameters = ()
    binding: Binding | None = None
    version: str = "0.0.1"
    publish: bool = False
    annotations: Parameters = ()
    updated: int = 0
    revision: str | None = None

    @property
    def is_shared(self) -> bool:
        """A binding's own `publish` gives nothing to others."""
        return self.publish and self.binding is None


class _Stored(msgspec.Struct, frozen=True):
    parameters: Parameters
    version: str
    publish: bool
    annotations: Parameters
    binding: Binding | None = None


def to_document(package: Package) -> Document:
    stored = _Stored(
        package.parameters, package.version, package.publish, package.annotations, package.binding
    )
    body: dict[str, Any] = msgspec.to_builtins(stored)
    return Document(
        id=package.name.document_id,
        collection="packages",
        namespace=package.name.namespace,
        path=package.name.path,
        name=package.name.name,
        updated=package.updated,
        body=body,
        revision=package.revision,
    )


def from_document(document: Document) -> Package:
    """`msgspec.ValidationError` if the stored body is no package."""
    stored = msgspec.convert(document.body, _Stored)
    return Package(
        name=EntityName(document.namespace, None, document.name),
        parameters=stored.parameters,
        binding=stored.binding,
        version=stored.version,
        publish=stored.publish,
        annotations=stored.annotations,
        updated=document.updated,
        revision=document.revision,
    )
