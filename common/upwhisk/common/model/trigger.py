"""A trigger, with the rules that listen to it: a fire reads this one document."""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.common.model.parameters import Parameters
from upwhisk.common.model.rule import Reference, RuleStatus
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import Document


class RuleLink(msgspec.Struct, frozen=True):
    """What a trigger knows of one of its rules."""

    action: Reference
    status: RuleStatus


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """`rules`: rule as `ns/rule` -> its link."""

    name: EntityName
    parameters: Parameters = ()
    rules: dict[str, RuleLink] = {}
    version: str = "0.0.1"
    publish: bool = False
    annotations: Parameters = ()
    updated: int = 0
    revision: str | None = None

    @property
    def has_active_rule(self) -> bool:
        return any(link.status == "active" for link in self.rules.values())


class _Stored(msgspec.Struct, frozen=True):
    parameters: Parameters
    version: str
    publish: bool
    annotations: Parameters
    rules: dict[str, RuleLink] = {}


def to_document(trigger: Trigger) -> Document:
    stored = _Stored(trigger.parameters, trigger.version, trigger.publish, trigger.annotations, trigger.rules)
    body: dict[str, Any] = msgspec.to_builtins(stored)
    return Document(
        id=trigger.name.document_id,
        collection="triggers",
        namespace=trigger.name.namespace,
        path=trigger.name.path,
        name=trigger.name.name,
        updated=trigger.updated,
        body=body,
        revision=trigger.revision,
    )


def from_document(document: Document) -> Trigger:
    """`msgspec.ValidationError` if the stored body is no trigger."""
    stored = msgspec.convert(document.body, _Stored)
    return Trigger(
        name=EntityName(document.namespace, None, document.name),
        parameters=stored.parameters,
        rules=stored.rules,
        version=stored.version,
        publish=stored.publish,
        annotations=stored.annotations,
        updated=document.updated,
        revision=document.revision,
    )
