"""What travels on the bus, and the one way it is encoded.

Every message carries the version of its form; this release reads version 1. Embedded buses hand the objects over
as they are, others encode them as MessagePack.
"""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.common.ids import ActivationId, ControllerId, NodeId, TransactionId
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.placed import Why

FORM = 1


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What one activation needs of a node. `memory_mb` is the container's; `timeout_ms` bounds init and run each."""

    kind: str
    memory_mb: int
    timeout_ms: int
    concurrency: int = 1


class ActionRef(msgspec.Struct, frozen=True, kw_only=True):
    """The exact revision of an action. `binding` is `ns/binding` when it was reached through one."""

    namespace: str
    package: str | None
    name: str
    version: str
    revision: str
    binding: str | None = None

    @property
    def document_id(self) -> str:
        return f"{self.namespace}/{self.name}" if self.package is None else f"{self.namespace}/{self.package}/{self.name}"


class ActivationMessage(msgspec.Struct, kw_only=True, tag="activation"):
    """One accepted activation on its way to a node.

    `arguments`: what the run gets, an object or (between components of a sequence) an array.
    `init_arguments`: what the init gets as environment, values as text.
    `accepted_ms`: when the request was accepted, ms since the epoch; queued work expires by it.
    `stored`: its namespace keeps records. `journalled`: its acceptance is durable, so its start has to be made durable before it runs.
    """

    activation_id: ActivationId
    transaction_id: TransactionId
    action: ActionRef
    demand: Demand
    subject: str
    namespace: str
    namespace_uuid: str
    arguments: Any
    init_arguments: dict[str, str] = {}
    accepted_ms: int
    blocking: bool = False
    cause: ActivationId | None = None
    controller: ControllerId = ControllerId("0")
    attempt: int = 1
    retry_safe: bool = False
    journalled: bool = False
    stored: bool = True
    traceparent: str | None = None
    placed: Why | None = None
    form: int = FORM


class Completion(msgspec.Struct, frozen=True, kw_only=True, tag="completion"):
    """The outcome of one attempt. `record` is the final record as stored; it also returns the node's permit."""

    activation_id: ActivationId
    node: NodeId
    attempt: int
    record: Activation
    form: int = FORM


class Returned(msgspec.Struct, frozen=True, kw_only=True, tag="returned"):
    """A node hands work back that it has not started; the balancer places it once more."""

    activation_id: ActivationId
    node: NodeId
    attempt: int
    reason: str
    form: int = FORM


Message = ActivationMessage | Completion | Returned

_JSON = 1
"""MessagePack extension: a value as JSON text, for integers beyond 64 bits, which MessagePack cannot hold."""


def _extension(code: int, data: memoryview) -> Any:
    if code != _JSON:
        raise ValueError(f"unknown extension {code}")
    return msgspec.json.decode(data)


_decoder = msgspec.msgpack.Decoder(Message, ext_hook=_extension)
_encode = msgspec.msgpack.Encoder().encode


def encode_message(message: Message) -> bytes:
    try:
        return _encode(message)
    except OverflowError:
        return _encode(_with_json(message))


def _with_json(message: Message) -> Message:
    """The same message with its free values as JSON."""
    match message:
        case ActivationMessage():
            arguments = msgspec.msgpack.Ext(_JSON, msgspec.json.encode(message.arguments))
            return msgspec.structs.replace(message, arguments=arguments)
        case Completion():
            result = msgspec.msgpack.Ext(_JSON, msgspec.json.encode(message.record.response.result))
            response = msgspec.structs.replace(message.record.response, result=result)
            return msgspec.structs.replace(message, record=msgspec.structs.replace(message.record, response=response))
        case Returned():
            return message


def decode_message(data: bytes) -> Message:
    """Raises `msgspec.ValidationError` for anything that is no message of a form this release reads."""
    message: Message = _decoder.decode(data)
    if message.form != FORM:
        raise msgspec.ValidationError(f"message form {message.form} is not read by this release (reads {FORM})")
    return message
