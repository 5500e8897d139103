"""Records of work that never reached a container, or whose end nobody saw. Pure."""

from __future__ import annotations

import msgspec

from upwhisk.common.messages import ActivationMessage, Demand
from upwhisk.common.model.activation import Activation, Response, Status, failed
from upwhisk.common.model.limits import ActionLimits
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.placed import Placed


def fallback(
    message: ActivationMessage, response: Response, *, now_ms: int, node: str = "", kind: str = "unknown"
) -> Activation:
    """The record of an activation whose action could not be fetched, or that ended before any container, or out of sight.
    `node`: by default the one that it was handed to last, if any."""
    placed = Placed(
        node=node or message.node,
        attempt=message.attempt,
        why=message.placed if node or message.node else None,
        trace=message.traceparent,
    )
    path, limits = Parameter("path", message.action.document_id), Parameter("limits", limits_of(message.demand))
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
        annotations=(path, Parameter("kind", kind), limits, *origin(message), Parameter("upwhisk", placed)),
    )


def limits_of(demand: Demand) -> ActionLimits:
    return ActionLimits(
        timeout=demand.timeout_ms, memory=demand.memory_mb, logs=demand.logs_mb, concurrency=demand.concurrency
    )


def origin(message: ActivationMessage) -> tuple[Parameter, ...]:
    """The annotations of every record that say by what way the call came."""
    caused = (Parameter("causedBy", "sequence"),) if message.cause else ()
    return (*caused, Parameter("binding", message.action.binding)) if message.action.binding else caused


def lost(message: ActivationMessage, reason: str, *, now_ms: int) -> Activation:
    """Accepted work that cannot be finished ends as `whisk internal error` with the reason."""
    return fallback(message, failed(Status.WHISK_ERROR, reason), now_ms=now_ms, kind=message.demand.kind)
