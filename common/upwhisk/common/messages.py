"""What travels on the bus, and the one way it is encoded.

Every message carries the version of its form; this release writes version 1. Other forms: `forms.py`. Embedded buses hand
the objects over as they are, others encode them as MessagePack.
"""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.common.errors import InternalError
from upwhisk.common.ids import ActivationId, ControllerId, NodeId, TransactionId
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.placed import Why

FORM = 1
MAX_ATTEMPTS = 3
"""How often work that is annotated retry-safe is started at most."""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What one activation needs of a node. `memory_mb` is the container's; `timeout_ms` bounds init and run each;
    `logs_mb` its log."""

    kind: str
    memory_mb: int
    timeout_ms: int
    concurrency: int = 1
    logs_mb: int = 10


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
    `accepted_ms`: when the request was accepted, ms since the epoch; queued work expires by it. `queued_ms`: how long it then
    waited for a permit, by its controller's clock.
    `stored`: its namespace keeps records. `journalled`: its acceptance is durable, so its start has to be made durable
    before it runs. `attempt` counts starts, `dispatch` hand-overs to nodes: an outcome counts only if it is of the last
    hand-over, to `node`, which drops it if it is not in that `incarnation` any more. `tells_start`: that node says of
    this work too, journalled or not, when it starts it (nodes of forms before 1.2 say it of journalled work only).
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
    queued_ms: int = 0
    blocking: bool = False
    cause: ActivationId | None = None
    controller: ControllerId = ControllerId("0")
    attempt: int = 1
    retry_safe: bool = False
    journalled: bool = False
    stored: bool = True
    traceparent: str | None = None
    placed: Why | None = None
    dispatch: int = 0
    node: NodeId = NodeId("")
    incarnation: str = ""
    tells_start: bool = False
    form: int = FORM


class Begun(msgspec.Struct, frozen=True, kw_only=True, tag="begun"):
    """A node is about to start an attempt; durable before anything is sent to the guest."""

    activation_id: ActivationId
    node: NodeId
    attempt: int
    dispatch: int = 0
    form: int = FORM


class Completion(msgspec.Struct, frozen=True, kw_only=True, tag="completion"):
    """The outcome of one attempt. `record` is the final record; it also returns the node's permit. `stored` and
    `journalled` as the activation's message had them."""

    activation_id: ActivationId
    node: NodeId
    attempt: int
    record: Activation
    dispatch: int = 0
    stored: bool = True
    journalled: bool = False
    form: int = FORM


class Returned(msgspec.Struct, frozen=True, kw_only=True, tag="returned"):
    """A node hands work back that it has not started; the balancer places it once more. `unread`: the node cannot read
    what it was sent. `started`: it had started it and broke it off, and it is annotated retry-safe."""

    activation_id: ActivationId
    node: NodeId
    attempt: int
    reason: str
    dispatch: int = 0
    form: int = FORM
    unread: bool = False
    started: bool = False


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag="accepted"):
    """Work that is kept until it is settled, and records that need no work (of triggers). Work that names a node was
    handed to it before: somebody waited for it and does not any more."""

    messages: tuple[ActivationMessage, ...]
    records: tuple[Activation, ...] = ()


class Dispatched(msgspec.Struct, frozen=True, kw_only=True, tag="dispatched"):
    """Work is about to be handed to a node; durable before it is sent. `attempt`: which start it would be. It counts only
    if no start of that number is known where it stands in the log."""

    activation_id: ActivationId
    node: NodeId
    incarnation: str
    dispatch: int
    attempt: int


class Noted(msgspec.Struct, frozen=True, kw_only=True, tag="noted"):
    """The progress of a composition."""

    activation_id: ActivationId
    progress: bytes


class Settled(msgspec.Struct, frozen=True, kw_only=True, tag="settled"):
    """A final record that no node made."""

    record: Activation


class Discarded(msgspec.Struct, frozen=True, kw_only=True, tag="discarded"):
    """Work ended whose namespace stores no records."""

    activation_id: ActivationId


class Carried(msgspec.Struct, frozen=True, kw_only=True, tag="carried"):
    """All that is known of work under way, said again at the head of the log so that its tail can go."""

    message: ActivationMessage
    attempt: int
    begun: bool = False
    progress: bytes | None = None


Entry = Accepted | Begun | Dispatched | Noted | Settled | Discarded | Carried


class Bundle(msgspec.Struct, frozen=True, kw_only=True, tag="bundle"):
    """What a controller appends to its log in one piece. `owner` is its name for this log, used once: a bundle of an
    owner who is not the last one counts for nothing. `number` tells its writer which of its bundles came back;
    `TAKES_OVER` makes its writer the owner, `STATES` says again who it is; `word` tells its writer which of these came
    back."""

    owner: ControllerId
    number: int
    word: int = 0
    entries: tuple[Entry, ...] = ()
    form: int = FORM


TAKES_OVER = 0
STATES = -1

Message = ActivationMessage | Begun | Completion | Returned | Bundle

_JSON = 1
"""MessagePack extension: a value as JSON text, for integers beyond 64 bits, which MessagePack cannot hold."""


def extension(code: int, data: memoryview) -> Any:
    """For decoders of messages."""
    if code != _JSON:
        raise ValueError(f"unknown extension {code}")
    return msgspec.json.decode(data)


_decoder = msgspec.msgpack.Decoder(Message, ext_hook=extension)
_encode = msgspec.msgpack.Encoder().encode


class Unencodable(InternalError):
    """No form can carry it, such as half of a surrogate pair. What it holds is not said: it may be secret."""

    default = "A message cannot be encoded."


def encode_message(message: Message) -> bytes:
    """`Unencodable`."""
    try:
        return _encode(message)
    except OverflowError:
        return _encode(_with_json(message))
    except (ValueError, TypeError, RecursionError):
        raise Unencodable from None


def _with_json(message: Message) -> Message:
    """The same message with its free values as JSON."""
    match message:
        case ActivationMessage():
            return _work_with_json(message)
        case Completion():
            return msgspec.structs.replace(message, record=_record_with_json(message.record))
        case Bundle():
            return msgspec.structs.replace(message, entries=tuple(map(_entry_with_json, message.entries)))
        case Begun() | Returned():
            return message


def _entry_with_json(entry: Entry) -> Entry:
    match entry:
        case Accepted():
            messages, records = map(_work_with_json, entry.messages), map(_record_with_json, entry.records)
            return Accepted(messages=tuple(messages), records=tuple(records))
        case Carried():
            return msgspec.structs.replace(entry, message=_work_with_json(entry.message))
        case Settled():
            return Settled(record=_record_with_json(entry.record))
        case Begun() | Dispatched() | Noted() | Discarded():
            return entry


def _work_with_json(message: ActivationMessage) -> ActivationMessage:
    arguments = msgspec.msgpack.Ext(_JSON, msgspec.json.encode(message.arguments))
    return msgspec.structs.replace(message, arguments=arguments)


def _record_with_json(record: Activation) -> Activation:
    result = msgspec.msgpack.Ext(_JSON, msgspec.json.encode(record.response.result))
    return msgspec.structs.replace(record, response=msgspec.structs.replace(record.response, result=result))


def decode_message(data: bytes) -> Message:
    """Raises `msgspec.ValidationError` for anything that is no message of a form this release reads."""
    message: Message = _decoder.decode(data)
    if message.form != FORM:
        raise msgspec.ValidationError(f"message form {message.form} is not read by this release (reads {FORM})")
    return message
