"""One invocation, from identity to result. The steps are numbered in reading order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NoReturn

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.deadlines import Deadlines
from upwhisk.common.errors import StoreUnavailable, Unavailable, Unconfirmed
from upwhisk.common.ids import new_activation_id
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import Activation
from upwhisk.common.spi.store import ArtifactStore
from upwhisk.controller.accept import message_of, refused_record
from upwhisk.controller.admission import Admission
from upwhisk.controller.api.ports import Call, Invoked
from upwhisk.controller.keeping import check_keeps
from upwhisk.controller.sequence import Sequences
from upwhisk.loadbalancer.balancer import Balancer
from upwhisk.loadbalancer.pending import Stopping

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class InvocationPorts:
    store: ArtifactStore
    balancer: Balancer
    sequences: Sequences
    clock: Clock
    admission: Admission


class InvocationService:
    """Runs actions for callers: answers with the record, or with an id that is durable."""

    def __init__(self, ports: InvocationPorts) -> None:
        self._ports = ports
        self._late: Deadlines[asyncio.Future[None]] = Deadlines(_wake)

    async def invoke(self, call: Call) -> Invoked:
        """`HttpError`: nothing was accepted."""
        action = call.action
        # 1. May it be accepted at all?
        await self._ports.admission.check(call.identity, action, call.payload)
        self._check_room(call.identity.namespace, waits_for=action.name.document_id if call.blocking else "")
        # 2. The message, with an id of its own.
        message = self._message_of(call)
        if action.is_sequence:
            if (reason := self._ports.sequences.refusal()) is not None:
                raise Unavailable.because(reason)
            done = await self._ports.sequences.begin(message, call.identity)
            return await self._wait_for_sequence(message, done, call)
        problem = self._ports.admission.limits_problem(call.identity, action)
        if problem is not None:
            return await self._refuse(message, problem, blocking=call.blocking)
        # 3. Without a waiting caller it is durable before it is published.
        if not call.blocking:
            message.journalled = True
            await self._ports.store.journal.accept([message])
            self._ports.balancer.publish(message)
            return Invoked(message.activation_id, None)
        message.blocking = True
        return await self._wait(message, self._ports.balancer.publish(message), call.wait_ms)

    def end_waits(self) -> None:
        """Callers who wait have waited long enough."""
        self._late.pass_all()

    def _message_of(self, call: Call) -> ActivationMessage:
        message = message_of(
            call.identity,
            call.action,
            call.payload,
            activation_id=new_activation_id(),
            transaction_id=call.transaction_id,
            now_ms=self._ports.clock.now_ms(),
        )
        message.traceparent = call.traceparent
        return message

    async def _refuse(self, message: ActivationMessage, problem: str, *, blocking: bool) -> Invoked:
        record = refused_record(message, problem, now_ms=self._ports.clock.now_ms())
        if message.stored:
            await self._ports.store.journal.settle(record)
        return Invoked(message.activation_id, record if blocking else None)

    def _check_room(self, namespace: str, *, waits_for: str) -> None:
        check_keeps(self._ports.store, self._ports.balancer, namespace)
        reason = self._ports.balancer.refusal(namespace, waits_for=waits_for)
        if reason is not None:
            log.info("refused", action="invocation.refused", namespace=namespace, reason=reason)
            raise Unavailable.because(reason)

    async def _wait(
        self, message: ActivationMessage, done: asyncio.Future[Activation], wait_ms: int
    ) -> Invoked:
        # 4. With one, the record is the answer; who waits too long gets an id that is durable by then.
        await self._ended_or_late(done, wait_ms / 1000)
        is_known = done.done() and not _is_stopped(done)
        if is_known or self._ports.balancer.work.find(message.activation_id) is None:
            return Invoked(message.activation_id, _outcome(done))
        try:
            await self._keep(message)
        except StoreUnavailable as error:
            self._give_up(message, error)
        return Invoked(message.activation_id, None)

    def _give_up(self, message: ActivationMessage, error: StoreUnavailable) -> NoReturn:
        """It could not be kept. Where nothing of it was done either, it is taken back; else it goes on, and nobody can ask for it."""
        balancer = self._ports.balancer
        pending = balancer.work.find(message.activation_id)
        if not isinstance(error, Unconfirmed) and message.attempt == 1 and balancer.withdraw(message.activation_id):
            assert pending is not None
            balancer.forget(pending)
            raise error
        raise Unconfirmed(error.text) from None

    async def _ended_or_late(self, done: asyncio.Future[Activation], wait_s: float) -> None:
        """`done` itself stays as it is: whoever looks at it afterwards also sees what came in the last moment."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.add_done_callback(lambda _: _wake(waiter))
        self._late.add(waiter, wait_s)
        try:
            await waiter
        finally:
            self._late.remove(waiter)

    async def _keep(self, message: ActivationMessage) -> None:
        """Make work durable that nobody waits for any longer."""
        message.journalled = True
        journal = self._ports.store.journal
        accepting = journal.accept([message])
        if message.node:  # a node has it, or had it when it was lost: it may have started
            await journal.begin(message.activation_id, message.attempt)
        await accepting

    async def _wait_for_sequence(
        self, message: ActivationMessage, done: asyncio.Future[Activation], call: Call
    ) -> Invoked:
        if not call.blocking:
            return Invoked(message.activation_id, None)
        try:
            async with asyncio.timeout(call.wait_ms / 1000):
                return Invoked(message.activation_id, await asyncio.shield(done))
        except (TimeoutError, Unavailable, Stopping):
            # Late, or the platform stops: the sequence is durable and goes on.
            return Invoked(message.activation_id, None)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _is_stopped(done: asyncio.Future[Activation]) -> bool:
    return not done.cancelled() and isinstance(done.exception(), Stopping)


def _outcome(done: asyncio.Future[Activation]) -> Activation:
    """`Unconfirmed`: it is not known how the work ended. `Unavailable`: it has not begun and will not."""
    error = Unconfirmed() if not done.done() or done.cancelled() else done.exception()
    if error is not None:
        raise Unavailable() if isinstance(error, Stopping) else error
    return done.result()
