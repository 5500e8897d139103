"""Records, messages and documents as tests need them."""

from __future__ import annotations

from typing import Any

from upwhisk.common.ids import ActivationId, new_activation_id, new_transaction_id
from upwhisk.common.messages import ActionRef, ActivationMessage, Demand
from upwhisk.common.model.activation import Activation, succeeded
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.spi.store import Collection, Document

START_MS = 1_754_400_000_000


def record(
    id: ActivationId | None = None,
    *,
    namespace: str = "guest",
    name: str = "hello",
    start: int = START_MS,
    result: Any = None,
    annotations: tuple[Parameter, ...] | None = None,
    logs: tuple[str, ...] = (),
) -> Activation:
    return Activation(
        namespace=namespace,
        name=name,
        version="0.0.1",
        subject=namespace,
        activation_id=id or new_activation_id(),
        start=start,
        end=start + 3,
        duration=3,
        response=succeeded({"payload": "hello"} if result is None else result, 19),
        logs=logs,
        annotations=(Parameter("path", f"{namespace}/{name}"),) if annotations is None else annotations,
    )


def message(id: ActivationId | None = None, *, namespace: str = "guest", arguments: Any = None) -> ActivationMessage:
    return ActivationMessage(
        activation_id=id or new_activation_id(),
        transaction_id=new_transaction_id(),
        action=ActionRef(namespace=namespace, package=None, name="hello", version="0.0.1", revision="1-a"),
        demand=Demand(kind="python:3.11", memory_mb=256, timeout_ms=60_000),
        subject=namespace,
        namespace=namespace,
        namespace_uuid="0" * 36,
        arguments={"name": "you"} if arguments is None else arguments,
        accepted_ms=START_MS,
    )


def document(
    name: str = "hello",
    *,
    namespace: str = "guest",
    package: str | None = None,
    collection: Collection = "actions",
    updated: int = START_MS,
    body: dict[str, Any] | None = None,
    **more: Any,
) -> Document:
    path = namespace if package is None else f"{namespace}/{package}"
    return Document(
        id=f"{path}/{name}",
        collection=collection,
        namespace=namespace,
        path=path,
        name=name,
        updated=updated,
        body={"version": "0.0.1"} if body is None else body,
        **more,
    )
