"""Records of work that never reached a container, or whose end nobody saw. Pure."""

from __future__ import annotations

import msgspec

from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import Activation, Response, Status, failed
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.placed import Placed


def fallback(
    message: ActivationMessage, response: Response, *, now_ms: int, node: str = "", kind: str = "unknown"
) -> Activation:
    """The record of an activation whose action could not be fetched, or that ended before any container."""
    return Activation(
        namespace=message.namespace,
        name=message.action.name,
        version=message.action.version,
        subject=message.subject,
        activation_id=message.activation_id,
        start=message.accepted_ms,
        end=max(now_ms, message.accepted_ms),
        duration=0,
        cause=message.cause or msgspec.UNSET,
        response=response,
        annotations=(
            Parameter("path", message.action.document_id),
            Parameter("kind", kind),
            Parameter("upwhisk", Placed(node=node, attempt=message.attempt)),
        ),
    )


def lost(message: ActivationMessage, reason: str, *, now_ms: int) -> Activation:
    """Accepted work that cannot be finished ends as `whisk internal error` with the reason."""
    return fallback(message, failed(Status.WHISK_ERROR, reason), now_ms=now_ms, kind=message.demand.kind)
