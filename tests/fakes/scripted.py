"""Scripted stand-ins for what stands behind the REST face: running, firing, watching, kinds, health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from upwhisk.common.clock import SystemClock
from upwhisk.common.ids import ActivationId, new_activation_id
from upwhisk.common.model.activation import Activation, Response, Status, failed, succeeded
from upwhisk.common.model.identity import Identity
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.trigger import Trigger
from upwhisk.common.names import EntityName
from upwhisk.common.spi.store import DocumentStore
from upwhisk.controller.admission import Admission
from upwhisk.controller.api.ports import Call, ComponentHealth, Invoked
from upwhisk.controller.catalog import Catalog

_FAILURES = {
    "application error": Status.APPLICATION_ERROR,
    "action developer error": Status.DEVELOPER_ERROR,
    "whisk internal error": Status.WHISK_ERROR,
}


class EchoInvocations:
    """Answers each call with its merged arguments and stores the record.

    Payload field `__outcome` chooses another: the name of a failed status, `never` (no answer in time), `array`.
    """

    def __init__(self, store: DocumentStore, admission: Admission) -> None:
        self._store = store
        self._admission = admission
        self.calls: list[Call] = []

    async def invoke(self, call: Call) -> Invoked:
        self.calls.append(call)
        await self._admission.check(call.identity, call.action, call.payload)
        outcome = call.payload.get("__outcome", "success")
        record = _record(
            call.identity, call.action.name, _response(outcome, {**call.action.parameters, **call.payload})
        )
        await self._store.activations.put([record])
        if not call.blocking or outcome == "never":
            return Invoked(record.activation_id, None)
        return Invoked(record.activation_id, record)


def _response(outcome: str, arguments: dict[str, Any]) -> Response:
    if outcome == "array":
        return succeeded([1, 2, 3])
    if outcome in _FAILURES:
        return failed(_FAILURES[outcome], "as asked")
    return succeeded(arguments)


def _record(
    identity: Identity,
    name: EntityName,
    response: Response,
    logs: tuple[str, ...] = ("2026-01-01T00:00:00Z stdout: hi",),
) -> Activation:
    now = SystemClock().now_ms()
    return Activation(
        namespace=identity.namespace,
        name=name.name,
        version="0.0.1",
        subject=identity.subject,
        activation_id=new_activation_id(),
        start=now,
        end=now + 3,
        duration=3,
        response=response,
        logs=logs,
        annotations=(Parameter("path", name.document_id), Parameter("kind", "python:3.11")),
    )


class RecordingFires:
    """Writes the trigger's record with one line for each rule; runs nothing."""

    def __init__(self, store: DocumentStore, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog
        self.fired: list[tuple[dict[str, Any], dict[str, str]]] = []

    async def fire(
        self,
        identity: Identity,
        trigger: Trigger,
        payload: dict[str, Any],
        headers: Mapping[str, str],
        transaction_id: str,
        traceparent: str | None = None,
    ) -> ActivationId | None:
        if not trigger.has_active_rule:
            return None
        self.fired.append((payload, dict(headers)))
        lines = [
            msgspec.json.encode(
                {
                    "statusCode": 0 if link.status == "active" else 1,
                    "rule": rule,
                    "action": link.action.document_id,
                }
            ).decode()
            for rule, link in trigger.rules.items()
        ]
        record = _record(identity, trigger.name, succeeded(payload), tuple(lines))
        record = msgspec.structs.replace(record, end=msgspec.UNSET, duration=msgspec.UNSET)
        await self._store.activations.put([record])
        return record.activation_id


class ScriptedLive:
    """`states` and `reasons` are what it knows; cancelling removes."""

    def __init__(self) -> None:
        self.states: dict[tuple[str, str], dict[str, Any]] = {}
        self.reasons: dict[tuple[str, str], dict[str, Any]] = {}

    def live(self, namespace: str, id: ActivationId) -> dict[str, Any] | None:
        return self.states.get((namespace, id))

    def why(self, namespace: str, id: ActivationId) -> dict[str, Any] | None:
        return self.reasons.get((namespace, id))

    def in_flight(self) -> list[ActivationId]:
        return [ActivationId(known) for _, known in self.states]

    async def cancel(self, namespace: str, id: ActivationId) -> bool:
        if self.states.get((namespace, id), {}).get("state") == "running":
            return False
        return self.states.pop((namespace, id), None) is not None


class ScriptedHealth:
    def __init__(self) -> None:
        self.state: dict[str, ComponentHealth] = {
            "store": ComponentHealth(True),
            "bus": ComponentHealth(True),
        }

    async def components(self) -> Mapping[str, ComponentHealth]:
        return self.state


class ScriptedKinds:
    """python:3.11 (default) and nodejs:20 run; python:2 is deprecated; java:21 needs `main`; ruby:3 has no interpreter."""

    aliases: ClassVar[dict[str, str]] = {
        "python:default": "python:3.11",
        "python:3": "python:3.11",
        "nodejs:default": "nodejs:20",
    }
    concrete = ("python:3.11", "nodejs:20", "python:2", "java:21", "ruby:3")

    def resolve(self, kind: str) -> str | None:
        kind = self.aliases.get(kind, kind)
        return kind if kind in self.concrete else None

    def deprecated(self, kind: str) -> bool:
        return kind == "python:2"

    def require_main(self, kind: str) -> bool:
        return kind == "java:21"

    def valid(self) -> tuple[str, ...]:
        return tuple(sorted((*self.aliases, *self.concrete)))

    def missing(self, kind: str) -> str | None:
        return (
            "The kind 'ruby:3' needs the interpreter 'ruby3', which this node does not have."
            if kind == "ruby:3"
            else None
        )

    def refuse_image(self, image: str) -> str | None:
        return (
            None if image == "openwhisk/dockerskeleton" else f"The image '{image}' needs --containers docker."
        )

    def refuse_network(self, network: str) -> str | None:
        return None

    def runtimes(self) -> dict[str, list[dict[str, Any]]]:
        shown = {
            "kind": "python:3.11",
            "image": "openwhisk/action-python-v3.11:nightly",
            "deprecated": False,
            "default": True,
            "attached": True,
            "requireMain": False,
        }
        return {"python": [shown]}
