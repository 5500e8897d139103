"""From a call to the message that travels. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from upwhisk.common.errors import BadRequest
from upwhisk.common.ids import ActivationId, TransactionId
from upwhisk.common.messages import ActionRef, ActivationMessage, Demand
from upwhisk.common.model.action import Action
from upwhisk.common.model.activation import Activation, Status, failed
from upwhisk.common.model.identity import Identity
from upwhisk.common.unfinished import fallback
from upwhisk.controller.catalog import ResolvedAction

RESERVED = "Request defines parameters that are not allowed (e.g., reserved properties)."


def check_final(action: ResolvedAction, payload: Mapping[str, Any]) -> None:
    """`BadRequest` if the payload names an immutable parameter of a final action."""
    if action.immutable and not action.immutable.isdisjoint(payload):
        raise BadRequest(RESERVED)


def message_of(
    identity: Identity,
    action: ResolvedAction,
    payload: Any,
    *,
    activation_id: ActivationId,
    transaction_id: str,
    now_ms: int,
) -> ActivationMessage:
    """`payload`: an object, merged over the parameters, or (between components) an array, passed as it is."""
    ref, demand = ref_and_demand(action.action)
    arguments, environment = _arguments(action, payload)
    return ActivationMessage(
        activation_id=activation_id,
        transaction_id=TransactionId(transaction_id),
        action=ref,
        demand=demand,
        subject=identity.subject,
        namespace=identity.namespace,
        namespace_uuid=identity.uuid,
        arguments=arguments,
        init_arguments=environment,
        accepted_ms=now_ms,
        retry_safe=action.retry_safe,
        stored=identity.limits.store_activations is not False,
    )


def _arguments(action: ResolvedAction, payload: Any) -> tuple[Any, dict[str, str]]:
    """What it runs with, and what its container begins with."""
    if type(payload) is dict and (action.parameters or action.init_keys):
        arguments = {**action.parameters, **payload}
        return arguments, {key: _text(arguments.pop(key)) for key in action.init_keys if key in arguments}
    return payload, {key: _text(action.parameters[key]) for key in action.init_keys if key in action.parameters}


def refused_record(message: ActivationMessage, problem: str, *, now_ms: int) -> Activation:
    """The record of work whose limits its namespace may not use any more."""
    response = failed(Status.APPLICATION_ERROR, problem)
    return fallback(message, response, now_ms=now_ms, kind=message.demand.kind)


def _text(value: Any) -> str:
    """How init parameters reach the environment: texts as they are, null as the empty text, others as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def ref_and_demand(action: Action) -> tuple[ActionRef, Demand]:
    """What of an action travels with each message."""
    name, limits = action.name, action.limits
    ref = ActionRef(
        namespace=name.namespace,
        package=name.package,
        name=name.name,
        version=action.version,
        revision=action.revision or "",
    )
    demand = Demand(
        kind=action.exec.kind,
        memory_mb=limits.memory,
        timeout_ms=limits.timeout,
        concurrency=limits.concurrency,
        logs_mb=limits.logs,
    )
    return ref, demand
