"""The bodies of /init and /run. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.action import Action

_encode = msgspec.json.Encoder().encode


def init_body(message: ActivationMessage, action: Action, *, deadline_ms: int, api_key: str | None) -> bytes:
    """`env` is applied before user code loads: the platform's variables, then the init parameters."""
    environment = {
        "__OW_NAMESPACE": message.namespace,
        "__OW_ACTION_NAME": f"/{message.action.document_id}",
        "__OW_ACTION_VERSION": message.action.version,
        "__OW_ACTIVATION_ID": message.activation_id,
        "__OW_TRANSACTION_ID": message.transaction_id,
        "__OW_DEADLINE": str(deadline_ms),
    }
    if action.limits.concurrency > 1:
        environment["__OW_ALLOW_CONCURRENT"] = "true"
    if api_key is not None:
        environment["__OW_API_KEY"] = api_key
    environment.update(message.init_arguments)
    value: dict[str, Any] = {
        "name": message.action.name,
        "main": action.exec.main or "main",
        "binary": action.exec.binary,
        "env": environment,
    }
    if action.exec.code is not None:
        value["code"] = action.exec.code
    return _encode({"value": value})


def run_body(message: ActivationMessage, *, deadline_ms: int, api_key: str | None) -> bytes:
    body: dict[str, Any] = {
        "value": message.arguments,
        "namespace": message.namespace,
        "action_name": f"/{message.action.document_id}",
        "action_version": message.action.version,
        "activation_id": message.activation_id,
        "transaction_id": message.transaction_id,
        "deadline": str(deadline_ms),
    }
    if api_key is not None:
        body["api_key"] = api_key
    if message.traceparent is not None:
        body["traceparent"] = message.traceparent
    return _encode(body)


def takes_several(init_answer: bytes) -> bool:
    """Whether the runtime said that this code can run several activations at once (`"concurrent": true`)."""
    try:
        answer = msgspec.json.decode(init_answer)
    except (msgspec.DecodeError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.get("concurrent") is True
