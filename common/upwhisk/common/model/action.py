"""An action as it is stored and shown: code or components, parameters, limits, annotations."""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.common.model.limits import ActionLimits
from upwhisk.common.model.parameters import Parameters
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import Document

ATTACH_ABOVE = 16 * 1024
"""Code above this size (bytes) is kept as an attachment outside the document."""
SEQUENCE = "sequence"
BLACKBOX = "blackbox"


class Exec(msgspec.Struct, frozen=True, omit_defaults=True):
    """`code`: source text or base64 (`binary`). `image`: only blackbox. `components`: only sequences, `/ns/[pkg/]name`."""

    kind: str
    code: str | None = None
    binary: bool = False
    main: str | None = None
    image: str | None = None
    components: tuple[str, ...] = ()


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is fully qualified; `updated` in ms; `revision` as read from the store (None: not stored yet)."""

    name: EntityName
    exec: Exec
    parameters: Parameters = ()
    limits: ActionLimits = ActionLimits()
    version: str = "0.0.1"
    publish: bool = False
    annotations: Parameters = ()
    updated: int = 0
    revision: str | None = None

    @property
    def is_sequence(self) -> bool:
        return self.exec.kind == SEQUENCE


class _Stored(msgspec.Struct, frozen=True):
    """The body of a stored action; the code of large ones is in the attachment."""

    exec: Exec
    parameters: Parameters
    limits: ActionLimits
    version: str
    publish: bool
    annotations: Parameters


def to_document(action: Action) -> Document:
    exec_, attachment = action.exec, None
    if exec_.code is not None and len(exec_.code) > ATTACH_ABOVE:
        attachment = exec_.code.encode()
        exec_ = msgspec.structs.replace(exec_, code=None)
    stored = _Stored(
        exec_, action.parameters, action.limits, action.version, action.publish, action.annotations
    )
    body: dict[str, Any] = msgspec.to_builtins(stored)
    return Document(
        id=action.name.document_id,
        collection="actions",
        namespace=action.name.namespace,
        path=action.name.path,
        name=action.name.name,
        updated=action.updated,
        body=body,
        revision=action.revision,
        has_attachment=attachment is not None,
        attachment=attachment,
    )


def from_document(document: Document) -> Action:
    """`msgspec.ValidationError` if the stored body is no action. Code that was not read stays None."""
    stored = msgspec.convert(document.body, _Stored)
    exec_ = stored.exec
    if document.attachment is not None:
        exec_ = msgspec.structs.replace(exec_, code=document.attachment.decode())
    namespace, _, package = document.path.partition("/")
    return Action(
        name=EntityName(namespace, package or None, document.name),
        exec=exec_,
        parameters=stored.parameters,
        limits=stored.limits,
        version=stored.version,
        publish=stored.publish,
        annotations=stored.annotations,
        updated=document.updated,
        revision=document.revision,
    )
