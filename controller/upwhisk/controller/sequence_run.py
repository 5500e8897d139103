"""One sequence on its way: each component's result is the next one's payload.

Before a component is dispatched, its id and payload are noted together with its acceptance; after a crash the sequence
goes on from the component's record.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import HttpError, StoreUnavailable, Unavailable, UpwhiskError
from upwhisk.common.ids import ActivationId, new_activation_id
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import Activation, Response, Status, decode_record, failed
from upwhisk.common.model.identity import Identity
from upwhisk.common.names import EntityName
from upwhisk.common.retry import kept_trying
from upwhisk.common.spi.store import ArtifactStore
from upwhisk.controller.accept import message_of, refused_record
from upwhisk.controller.admission import Admission
from upwhisk.controller.catalog import Catalog, ResolvedAction
from upwhisk.controller.known_limits import KnownLimits
from upwhisk.controller.sequence_length import TOO_MANY
from upwhisk.controller.sequence_record import Progress, encode_progress, memory_of, record_of
from upwhisk.loadbalancer.balancer import Balancer
from upwhisk.loadbalancer.pending import Stopping

log = structlog.get_logger(__name__)

MISSING = "Sequence component does not exist."
FAILED = "Sequence failed."
_GRACE_MS = 60_000
_BEHIND_S = 3600.0
"""A component may also wait in a queue; past its limits and this it counts as lost."""


@dataclass(frozen=True, slots=True)
class SequencePorts:
    store: ArtifactStore
    catalog: Catalog
    balancer: Balancer
    clock: Clock
    admission: Admission
    limits: KnownLimits
    max_length: int


class Begin(Protocol):
    async def __call__(
        self, message: ActivationMessage, identity: Identity, *, accepted: bool
    ) -> asyncio.Future[Activation]: ...


class SequenceRun:
    """One sequence on its way. `begin` starts a sequence within it."""

    def __init__(
        self,
        begin: Begin,
        ports: SequencePorts,
        message: ActivationMessage,
        identity: Identity | None,
        progress: Progress,
        under_way: dict[ActivationId, asyncio.Future[Activation]],
    ) -> None:
        self._begin = begin
        self._ports = ports
        self.message = message
        self._identity = identity
        self._progress = progress
        self._under_way = under_way

    async def to_end(self) -> Activation:
        self._progress.started_ms = self._progress.started_ms or self._ports.clock.now_ms()
        try:
            response = await self._components()
        except _Ended as ended:
            response = ended.response
        except UpwhiskError as error:
            log.error("sequence failed", action="sequence.failed", id=self.message.activation_id, reason=str(error))
            response = failed(Status.WHISK_ERROR, FAILED)
        return record_of(self.message, self._progress, response, now_ms=self._ports.clock.now_ms())

    async def _components(self) -> Response:
        action = await self._resolve_self()
        payload: Any = self.message.arguments
        response: Response | None = None
        if self._progress.current is not None:
            response = await self._pick_up(self._progress.current)
            payload = response.result
        while self._progress.index < len(action.components):
            if response is not None and _stops(response):
                return response
            response = await self._next(await self._caller(), action, payload)
            payload = response.result
        if response is None:
            raise _Ended(failed(Status.APPLICATION_ERROR, MISSING))
        return response

    async def _resolve_self(self) -> ResolvedAction:
        ref = self.message.action
        found = await self._resolve(EntityName(ref.namespace, ref.package, ref.name))
        if found is None or not found.is_sequence:
            raise _Ended(
                failed(Status.APPLICATION_ERROR, "Action could not be found or may have been deleted.")
            )
        return found

    async def _resolve(self, name: EntityName) -> ResolvedAction | None:
        try:
            return await kept_trying(lambda: self._ports.catalog.resolve(name), what="component of a sequence")
        except HttpError as error:
            log.info("component not resolved", action="sequence.unresolved", reason=error.text)
            return None

    async def _caller(self) -> Identity:
        """With what its namespace may use now; while that cannot be read, with what it might last."""
        message, known = self.message, self._identity
        try:
            limits = await self._ports.limits.of(message.namespace)
        except StoreUnavailable:
            if known is not None:
                return known
            limits = await kept_trying(lambda: self._ports.limits.of(message.namespace), what="limits of a namespace")
        if known is None or known.limits != limits:
            known = self._identity = Identity(message.subject, message.namespace, message.namespace_uuid, limits)
        return known

    async def _next(self, caller: Identity, action: ResolvedAction, payload: Any) -> Response:
        """Dispatch the component at the present index and wait for its record."""
        component = await self._admitted(caller, action.components[self._progress.index], payload)
        await self._count(component)
        message = self._message(caller, component, payload)
        self._progress.current = message.activation_id
        self._progress.payload = payload
        if not component.is_sequence:
            self._progress.memory = max(self._progress.memory, component.action.limits.memory)
        problem = self._ports.admission.limits_problem(caller, component)
        if problem is not None:
            return self._advance(await self._refuse(message, problem))
        return await self._await_record(
            message.activation_id, await self._dispatch(caller, message, component)
        )

    async def _count(self, component: ResolvedAction) -> None:
        """What was short when the sequence was stored may have grown, even to hold itself."""
        self._progress.steps += await self._ports.admission.steps(component)
        if self._progress.steps > self._ports.max_length:
            raise _Ended(failed(Status.APPLICATION_ERROR, TOO_MANY))

    async def _admitted(self, caller: Identity, name: EntityName, payload: Any) -> ResolvedAction:
        """What was allowed when the sequence was accepted may not be any more."""
        component = await self._resolve(name)
        if component is None:
            raise _Ended(failed(Status.APPLICATION_ERROR, MISSING))
        try:
            self._ports.admission.check_step(caller, component, payload)
        except HttpError as refused:
            raise _Ended(failed(Status.APPLICATION_ERROR, refused.text)) from None
        return component

    def _message(self, caller: Identity, component: ResolvedAction, payload: Any) -> ActivationMessage:
        message = message_of(
            caller,
            component,
            payload,
            activation_id=new_activation_id(),
            transaction_id=self.message.transaction_id,
            now_ms=self._ports.clock.now_ms(),
        )
        message.cause = self.message.activation_id
        message.traceparent = self.message.traceparent
        message.journalled = True
        return message

    async def _dispatch(
        self, caller: Identity, message: ActivationMessage, component: ResolvedAction
    ) -> asyncio.Future[Activation]:
        """Note the progress and accept the component in one commit, then let it go."""
        await kept_trying(lambda: self._accept(message), what="step of a sequence")
        if component.is_sequence:
            return await self._begin(message, caller, accepted=True)
        return self._ports.balancer.publish(message)

    async def _accept(self, message: ActivationMessage) -> None:
        """Accepting twice what is accepted already changes nothing. `Stopping`: the sequence is another controller's."""
        journal = self._ports.store.journal
        if not journal.holds(self.message):
            raise Stopping
        noting = journal.note(self.message.activation_id, encode_progress(self._progress))
        await journal.accept([message])
        await noting

    async def _refuse(self, message: ActivationMessage, problem: str) -> Activation:
        """The component ends before it starts. Its record is all there is of it: after a crash it is refused anew."""
        record = refused_record(message, problem, now_ms=self._ports.clock.now_ms())
        if message.stored:
            journal = self._ports.store.journal
            await kept_trying(lambda: journal.settle(record), what="record of a refused component")
        return record

    async def _pick_up(self, id: ActivationId) -> Response:
        """After a crash: the component that was current has a record, runs again, or was never accepted."""
        again = self._under_way.get(id)
        if again is None:
            activations, namespace = self._ports.store.activations, self.message.namespace
            stored = await kept_trying(lambda: activations.get(namespace, id), what="record of a component")
            if stored is None:
                raise _Ended(failed(Status.WHISK_ERROR, FAILED))
            return self._advance(decode_record(stored))
        return await self._await_record(id, again)

    async def _await_record(self, id: ActivationId, done: asyncio.Future[Activation]) -> Response:
        limit_s = self.message.demand.timeout_ms / 1000 + _GRACE_MS / 1000 + _BEHIND_S
        try:
            async with asyncio.timeout(limit_s):
                return self._advance(await done)
        except TimeoutError:
            text = f"Timeout reached when retrieving activation {id} for sequence component."
            raise _Ended(failed(Status.WHISK_ERROR, text)) from None
        except Unavailable as error:
            raise _Ended(failed(Status.WHISK_ERROR, error.text)) from None

    def _advance(self, record: Activation) -> Response:
        progress = self._progress
        progress.done.append(record.activation_id)
        progress.duration += record.duration or 0
        progress.memory = max(progress.memory, memory_of(record))
        progress.current = None
        progress.index += 1
        return record.response


class _Ended(Exception):
    """The sequence ends here with this response."""

    def __init__(self, response: Response) -> None:
        self.response = response
        super().__init__(response.status)


def _stops(response: Response) -> bool:
    return not response.success or (isinstance(response.result, dict) and "error" in response.result)
