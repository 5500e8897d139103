"""The record of one activation, as it is stored and as clients read it."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Any

import msgspec

from upwhisk.common.ids import ActivationId
from upwhisk.common.model.parameters import Parameter


class Status(IntEnum):
    """Whose fault the outcome is; the number is `statusCode` in list rows."""

    SUCCESS = 0
    APPLICATION_ERROR = 1
    DEVELOPER_ERROR = 2
    WHISK_ERROR = 3

    @property
    def text(self) -> str:
        return _STATUS_TEXTS[self]


NO_CONTAINER = "Failed to provision resources to run the action."
"""The error of an activation for which its node could make no container."""
_STATUS_TEXTS = ("success", "application error", "action developer error", "whisk internal error")
_STATUS_BY_TEXT = {text: Status(number) for number, text in enumerate(_STATUS_TEXTS)}


class Response(msgspec.Struct, frozen=True, omit_defaults=True):
    """`result` is JSON as the guest wrote it (`msgspec.Raw`) or a Python value; `size` its characters."""

    status: str
    success: bool
    result: Any = msgspec.UNSET
    size: int | msgspec.UnsetType = msgspec.UNSET

    @property
    def code(self) -> Status:
        return _STATUS_BY_TEXT[self.status]


class Activation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One final record. Times are ms since the epoch; `end` and `duration` are absent on triggers."""

    namespace: str
    name: str
    version: str
    subject: str
    activation_id: ActivationId
    start: int
    end: int | msgspec.UnsetType = msgspec.UNSET
    duration: int | msgspec.UnsetType = msgspec.UNSET
    cause: ActivationId | msgspec.UnsetType = msgspec.UNSET
    response: Response
    logs: tuple[str, ...] = ()
    annotations: tuple[Parameter, ...] = ()
    publish: bool = False


def succeeded(result: Any, size: int | msgspec.UnsetType = msgspec.UNSET) -> Response:
    return Response(_STATUS_TEXTS[0], True, result, size)


def failed(status: Status, error: Any, size: int | msgspec.UnsetType = msgspec.UNSET) -> Response:
    """Every failure's result is an object with the single field `error`."""
    return Response(status.text, False, {"error": error}, size)


encode_record = msgspec.json.Encoder().encode
decode_record = msgspec.json.Decoder(Activation).decode


class _ExactResponse(Response, frozen=True, omit_defaults=True):
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _ExactActivation(Activation, frozen=True, kw_only=True, rename="camel"):
    response: _ExactResponse


decode_exact_record: Callable[[bytes], Activation] = msgspec.json.Decoder(_ExactActivation).decode
"""With the result as the guest wrote it (`msgspec.Raw`), so that encoding gives the same bytes again."""
