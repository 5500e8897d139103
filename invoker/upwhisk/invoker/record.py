"""The final record of one activation. Pure."""

from __future__ import annotations

import msgspec

from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.action import Action
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.placed import Phases, Placed
from upwhisk.common.unfinished import origin
from upwhisk.invoker.outcome import Outcome

_TIMED_OUT = Parameter("timeout", True)
_IN_TIME = Parameter("timeout", False)


def finished(
    message: ActivationMessage,
    action: Action,
    outcome: Outcome,
    *,
    start_ms: int,
    logs: tuple[str, ...],
    placed: Placed,
) -> Activation:
    """The record of an activation that reached a container (or was to)."""
    phases = placed.phases or Phases()
    annotations = _annotations(message, action, outcome, phases)
    annotations.append(Parameter("upwhisk", placed))
    duration = phases.duration_ms
    return Activation(
        namespace=message.namespace,
        name=message.action.name,
        version=message.action.version,
        subject=message.subject,
        activation_id=message.activation_id,
        start=start_ms,
        end=start_ms + duration,
        duration=duration,
        cause=message.cause or msgspec.UNSET,
        response=outcome.response,
        logs=logs,
        annotations=tuple(annotations),
    )


def _annotations(
    message: ActivationMessage, action: Action, outcome: Outcome, phases: Phases
) -> list[Parameter]:
    annotations = [
        Parameter("path", message.action.document_id),
        Parameter("kind", action.exec.kind),
        Parameter("limits", action.limits),
        _TIMED_OUT if outcome.timed_out else _IN_TIME,
        Parameter("waitTime", phases.wait_ms),
    ]
    if phases.init:
        annotations.append(Parameter("initTime", round(phases.init)))
    annotations += origin(message)
    return annotations


def waited(message: ActivationMessage, now_ms: int) -> Phases:
    """What lies behind it when its node takes it up."""
    whole = max(0, now_ms - message.accepted_ms)
    queue = min(message.queued_ms, whole)
    return Phases(wait=float(whole), queue=float(queue), bus=float(whole - queue))
