"""Messages as they arrive: the neighbours of today's form are read as today's, others are told apart from rubbish.

While a fleet is restarted one process after the other, two releases read and write the same topics. What this release
cannot read is not dropped: it is handed to the subscriber as `Unreadable`, with what can be told of any form, so that the
work it speaks of still comes to an end. How a form is changed: docs/fleet.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from upwhisk.common.ids import ActivationId, ControllerId, NodeId
from upwhisk.common.messages import FORM, Message, decode_message, extension

Convert = Callable[[dict[str, Any]], dict[str, Any]]
READ: dict[int, Convert] = {}
"""Form -> what makes of a message of it, as plain values, one of today's form. The form before today's has to be here, and
the next one in the release before the one that writes it. Form 1 is the first."""

UNREADABLE: Counter[str] = Counter()
"""What this process could not read, by the message's tag; `unknown` for what is no message of ours."""


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """A message of a form that this release does not read. The fields are those that no form may rename; empty or 0 where
    a message has no such field. `type` is its tag, `reason` says what is the matter."""

    type: str
    form: int = 1
    activation_id: ActivationId = ActivationId("")
    node: NodeId = NodeId("")
    incarnation: str = ""
    controller: ControllerId = ControllerId("")
    owner: ControllerId = ControllerId("")
    number: int = 0
    attempt: int = 1
    dispatch: int = 0
    reason: str = ""


Received = Message | Unreadable

_TAGS = frozenset({"activation", "begun", "completion", "returned", "bundle"})
_head = msgspec.msgpack.Decoder(Unreadable, ext_hook=extension).decode
_plain = msgspec.msgpack.Decoder(dict[str, Any], ext_hook=extension).decode


def received(data: bytes, read: Mapping[int, Convert] = READ) -> Received:
    """Raises `msgspec.MsgspecError`, `ValueError` or `RecursionError` for what is no message of ours."""
    try:
        return decode_message(data)
    except msgspec.MsgspecError as error:
        reason = str(error)
    head = _head(data)
    if head.type not in _TAGS:
        raise msgspec.ValidationError(reason)
    if head.form in read:
        return _converted(_plain(data), read[head.form])
    if head.form != FORM:
        reason = f"it has form {head.form}, this release reads {', '.join(map(str, sorted({*read, FORM})))}"
    return msgspec.structs.replace(head, reason=reason)


def _converted(plain: dict[str, Any], convert: Convert) -> Message:
    message: Message = msgspec.convert({**convert(plain), "form": FORM}, Message)
    return message
