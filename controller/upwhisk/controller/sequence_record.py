"""How far a sequence has come, and its record at the end. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import Activation, Response
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.placed import Placed
from upwhisk.common.unfinished import limits_of, origin


class Progress(msgspec.Struct, omit_defaults=True):
    """`index` of the component to run next, or running (`current`, with its `payload`); `done`: ids so far, in
    order; `duration`: their sum, ms; `memory`: the largest of their limits, MB; `steps`: actions so far, those of nested
    sequences counted one by one; `started_ms`: when it began, ms since the epoch."""

    index: int = 0
    current: ActivationId | None = None
    payload: Any = None
    done: list[ActivationId] = msgspec.field(default_factory=list)
    duration: int = 0
    memory: int = 0
    steps: int = 0
    started_ms: int = 0


encode_progress = msgspec.json.Encoder().encode
"""As JSON: a payload may hold any number that JSON can, MessagePack's end at 64 bits."""
decode_progress = msgspec.json.Decoder(Progress).decode


def memory_of(record: Activation) -> int:
    """What its `limits` say, MB; 0 if they do not."""
    limits = next((note.value for note in record.annotations if note.key == "limits"), None)
    memory = limits.get("memory") if isinstance(limits, dict) else getattr(limits, "memory", None)
    return memory if isinstance(memory, int) else 0


def record_of(message: ActivationMessage, progress: Progress, response: Response, *, now_ms: int) -> Activation:
    start_ms = progress.started_ms
    own = limits_of(message.demand)
    limits = msgspec.structs.replace(own, memory=progress.memory or own.memory)
    annotations = [
        Parameter("topmost", message.cause is None),
        Parameter("path", message.action.document_id),
        Parameter("kind", "sequence"),
        Parameter("waitTime", max(0, start_ms - message.accepted_ms)),
        Parameter("limits", limits),
        *origin(message),
        Parameter("upwhisk", Placed(node="", attempt=message.attempt, trace=message.traceparent)),
    ]
    return Activation(
        namespace=message.namespace,
        name=message.action.name,
        version=message.action.version,
        subject=message.subject,
        activation_id=message.activation_id,
        start=start_ms,
        end=max(now_ms, start_ms),
        duration=progress.duration,
        cause=message.cause or msgspec.UNSET,
        response=response,
        logs=tuple(progress.done),
        annotations=tuple(annotations),
    )
