"""A fire: one record for the trigger, one activation for the action of each active rule, all accepted at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import HttpError, InternalError, NotFound, NotYetAvailable, Unavailable
from upwhisk.common.ids import ActivationId, new_activation_id
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import Activation, succeeded
from upwhisk.common.model.identity import Identity
from upwhisk.common.model.parameters import Parameter, to_mapping
from upwhisk.common.model.placed import Placed
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.spi.store import ArtifactStore
from upwhisk.controller.accept import message_of, refused_record
from upwhisk.controller.admission import Admission
from upwhisk.controller.catalog import Catalog, ResolvedAction
from upwhisk.controller.entitlement import check_action
from upwhisk.controller.keeping import check_keeps
from upwhisk.controller.sequence import Sequences
from upwhisk.loadbalancer.balancer import Balancer

log = structlog.get_logger(__name__)
_text = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class FirePorts:
    store: ArtifactStore
    catalog: Catalog
    balancer: Balancer
    sequences: Sequences
    clock: Clock
    admission: Admission


@dataclass(frozen=True, slots=True)
class _Fired:
    """What all of one fire have in common."""

    identity: Identity
    arguments: dict[str, Any]
    transaction_id: str
    traceparent: str | None


@dataclass(frozen=True, slots=True)
class _Started:
    """`refused`: the record of work that ends at once, for its limits."""

    message: ActivationMessage
    action: ResolvedAction
    refused: Activation | None


class FireService:
    def __init__(self, ports: FirePorts) -> None:
        self._ports = ports

    async def fire(
        self,
        identity: Identity,
        trigger: Trigger,
        payload: dict[str, Any],
        headers: Mapping[str, str],
        transaction_id: str,
        traceparent: str | None = None,
    ) -> ActivationId | None:
        """Fire `trigger`; None if no rule is active. `Unavailable`: nothing was accepted."""
        if not trigger.has_active_rule:
            return None
        check_keeps(self._ports.store, self._ports.balancer, identity.namespace)
        arguments = {**to_mapping(trigger.parameters), "__ow_headers": dict(headers), **payload}
        fired = _Fired(identity, arguments, transaction_id, traceparent)
        started: list[_Started] = []
        logs = tuple([await self._start(fired, rule, link, started) for rule, link in trigger.rules.items()])
        record = self._record(fired, trigger, payload, logs)
        going = [one for one in started if one.refused is None]
        records = [record, *(one.refused for one in started if one.refused is not None)]
        if identity.limits.store_activations is False:
            records = []
        if going or records:
            await self._ports.store.journal.accept([one.message for one in going], records)
        for one in going:
            await self._let_go(one, identity)
        return record.activation_id

    async def _start(self, fired: _Fired, rule: str, link: RuleLink, started: list[_Started]) -> str:
        """Prepare the action of one rule; returns the rule's line in the trigger's log."""
        action_id = link.action.document_id
        line: dict[str, Any] = {"statusCode": 1, "success": False, "rule": rule, "action": action_id}
        if link.status != "active":
            line["error"] = f"Rule '{rule}' is inactive, action '{action_id}' was not activated."
            return _text(line).decode()
        try:
            action = await self._action(fired.identity, link, fired.arguments, len(started))
        except HttpError as error:
            line |= _refusal(error)
            return _text(line).decode()
        message = self._message(fired, action)
        started.append(_Started(message, action, self._refused(fired.identity, action, message)))
        line = {
            "statusCode": 0,
            "success": True,
            "activationId": message.activation_id,
            "rule": rule,
            "action": action_id,
        }
        return _text(line).decode()

    async def _action(
        self, identity: Identity, link: RuleLink, arguments: dict[str, Any], earlier: int
    ) -> ResolvedAction:
        name = link.action.entity
        action = await self._ports.catalog.resolve(name)
        check_action(identity, name, action)
        if action is None:
            raise NotFound()
        await self._ports.admission.check(identity, action, arguments)
        reason = self._ports.balancer.refusal(identity.namespace, earlier + 1)
        if reason is not None or (action.is_sequence and self._ports.sequences.refusal() is not None):
            raise Unavailable()
        return action

    def _refused(
        self, identity: Identity, action: ResolvedAction, message: ActivationMessage
    ) -> Activation | None:
        problem = self._ports.admission.limits_problem(identity, action)
        return None if problem is None else refused_record(message, problem, now_ms=self._ports.clock.now_ms())

    def _message(self, fired: _Fired, action: ResolvedAction) -> ActivationMessage:
        message = message_of(
            fired.identity,
            action,
            fired.arguments,
            activation_id=new_activation_id(),
            transaction_id=fired.transaction_id,
            now_ms=self._ports.clock.now_ms(),
        )
        message.traceparent = fired.traceparent
        message.journalled = True
        return message

    async def _let_go(self, one: _Started, identity: Identity) -> None:
        if one.action.is_sequence:
            await self._ports.sequences.begin(one.message, identity, accepted=True)
        else:
            self._ports.balancer.publish(one.message)

    def _record(
        self, fired: _Fired, trigger: Trigger, payload: dict[str, Any], logs: tuple[str, ...]
    ) -> Activation:
        trace = Parameter("upwhisk", Placed(node="", trace=fired.traceparent))
        return Activation(
            namespace=fired.identity.namespace,
            name=trigger.name.name,
            version=trigger.version,
            subject=fired.identity.subject,
            activation_id=new_activation_id(),
            start=self._ports.clock.now_ms(),
            response=succeeded(payload),
            logs=logs,
            annotations=(trace,) if fired.traceparent is not None else (),
        )


def _refusal(error: HttpError) -> dict[str, Any]:
    """What the trigger's log says of an action that was not started: texts of faults inside stay inside."""
    if error.status < 500:
        return {"statusCode": 1, "error": error.text}
    return {"statusCode": 3, "error": error.text if isinstance(error, NotYetAvailable) else InternalError.default}
