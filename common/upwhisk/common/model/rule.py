"""A rule: which action a trigger's fires run. Whether it is active is kept with the trigger."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from upwhisk.common.model.parameters import Parameters
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import Document

RuleStatus = Literal["active", "inactive"]


class Reference(msgspec.Struct, frozen=True):
    """Names another entity as the wire does: `path` is `ns` or `ns/pkg`."""

    path: str
    name: str

    @property
    def document_id(self) -> str:
        return f"{self.path}/{self.name}"

    @property
    def entity(self) -> EntityName:
        namespace, _, package = self.path.partition("/")
        return EntityName(namespace, package or None, self.name)

    def __str__(self) -> str:
        return f"/{self.document_id}"


def reference_to(name: EntityName) -> Reference:
    return Reference(name.path, name.name)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    name: EntityName
    trigger: Reference
    action: Reference
    version: str = "0.0.1"
    publish: bool = False
    annotations: Parameters = ()
    updated: int = 0
    revision: str | None = None


class _Stored(msgspec.Struct, frozen=True):
    trigger: Reference
    action: Reference
    version: str
    publish: bool
    annotations: Parameters


def to_document(rule: Rule) -> Document:
    stored = _Stored(rule.trigger, rule.action, rule.version, rule.publish, rule.annotations)
    body: dict[str, Any] = msgspec.to_builtins(stored)
    return Document(
        id=rule.name.document_id,
        collection="rules",
        namespace=rule.name.namespace,
        path=rule.name.path,
        name=rule.name.name,
        updated=rule.updated,
        body=body,
        revision=rule.revision,
    )


def from_document(document: Document) -> Rule:
    """`msgspec.ValidationError` if the stored body is no rule."""
    stored = msgspec.convert(document.body, _Stored)
    return Rule(
        name=EntityName(document.namespace, None, document.name),
        trigger=stored.trigger,
        action=stored.action,
        version=stored.version,
        publish=stored.publish,
        annotations=stored.annotations,
        updated=document.updated,
        revision=document.revision,
    )
