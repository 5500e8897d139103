"""The life of one activation on a node: container, init, run, logs, record, completion.

The steps are numbered in reading order; each turn off the straight way ends in an `Outcome` too.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.deadlines import Deadlines
from upwhisk.common.errors import ContainerCreateFailed, ContainerGone, ImageMissing
from upwhisk.common.forms import Unreadable
from upwhisk.common.ids import ActivationId, NodeId
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.activation import NO_CONTAINER, Activation, Status, failed
from upwhisk.common.model.placed import Phases, Placed
from upwhisk.common.spi.bus import Delivery
from upwhisk.common.spi.logs import LogStore
from upwhisk.common.unfinished import fallback
from upwhisk.invoker import outcome as outcomes
from upwhisk.invoker.actions import ActionCache, ActionGone, ActionUnfetched, Runnable
from upwhisk.invoker.handback import Handback
from upwhisk.invoker.keys import KeyRing
from upwhisk.invoker.outcome import Outcome
from upwhisk.invoker.output import GuestOutput, log_line
from upwhisk.invoker.payload import init_body, run_body, takes_several
from upwhisk.invoker.pool.lease import Lease, PoolClosed
from upwhisk.invoker.pool.pool import Pool
from upwhisk.invoker.pool.slots import WarmKey
from upwhisk.invoker.record import finished, waited
from upwhisk.invoker.tally import Tally

log = structlog.get_logger(__name__)

BROKEN = "The platform failed while it ran the action ({}); its log says more."
MISSING_LOGS = "The action did not initialize or run as expected. Log data might be missing."
UNCOLLECTED = "There was an issue while collecting your logs. Data might be missing."
_LOG_WAIT_S = 2.0
_WATCH_AFTER_S = 0.01
"""Output of runs longer than this is read while they run; of shorter ones at their end."""
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RunnerPorts:
    """What an activation needs of the node."""

    pool: Pool
    actions: ActionCache
    keys: KeyRing
    handback: Handback
    logs: LogStore
    clock: Clock


class BrokenOff(Exception):
    """The node ends what runs, and this may be run once more."""


class Runner:
    """Runs activations to their records. `running` shows the phase of each, for people; `tally` counts what became of them.
    `stopping`: why what runs is ended, empty as long as it is not."""

    def __init__(self, ports: RunnerPorts, node: NodeId, *, result_bytes: int) -> None:
        self._ports = ports
        self._node = node
        self._result_bytes = result_bytes
        self.running: dict[str, str] = {}
        self.tally = Tally()
        self._long: Deadlines[Lease] = Deadlines(_watch)
        self.stopping = ""

    async def run(self, delivery: Delivery) -> None:
        """The whole life of one delivered activation. Ends with the delivery done, whatever happened."""
        message = delivery.message
        assert isinstance(message, ActivationMessage)
        self.running[message.activation_id] = "queued"
        try:
            await self._to_its_end(message)
            delivery.done()
        finally:
            del self.running[message.activation_id]

    async def give_back(self, delivery: Delivery) -> None:
        """It will not start here."""
        message = delivery.message
        assert isinstance(message, ActivationMessage | Unreadable)
        await self._ports.handback.give_back(message)
        delivery.done()

    async def _to_its_end(self, message: ActivationMessage) -> None:
        """The last border: whatever goes wrong in here that nobody thought of, the activation has its record."""
        handback = self._ports.handback
        try:
            record = await self._record_of(message)
            if record is None:
                await handback.give_back(message)
                return
            self.running[message.activation_id] = "storing"
            began = self._ports.clock.monotonic()
            await handback.settle(message, record)  # 7. durable, then whoever waits is told
            self.tally.count(record, self._ports.clock.monotonic() - began)
        except BrokenOff:
            await handback.give_back(message, started=True)
        except Exception as error:
            log.exception("activation broken off", action="activation.broken", id=message.activation_id)
            reason = BROKEN.format(type(error).__name__)
            await handback.settle(message, self._fallback(message, outcomes.of_platform(reason)))

    async def _record_of(self, message: ActivationMessage) -> Activation | None:
        """Steps 1 to 6; None if it will not start here, as the node stops or makes no containers: it stays accepted."""
        try:
            runnable = self._ports.actions.cached(message.action) or await self._ports.actions.fetch(message.action)
        except ActionGone as gone:
            return self._fallback(message, outcomes.of_missing_action(str(gone)))
        except ActionUnfetched as unfetched:
            return self._fallback(message, outcomes.of_platform(str(unfetched)))
        return await self._in_container(message, runnable)

    async def _in_container(self, message: ActivationMessage, runnable: Runnable) -> Activation | None:
        clock = self._ports.clock
        phases = waited(message, clock.now_ms())
        began = clock.monotonic()
        # 1. A container: warm, prewarmed, or a new one.
        key = WarmKey(message.namespace, message.action.document_id, message.action.revision)
        try:
            lease = await self._ports.pool.acquire(key, runnable.spec, runnable.action.limits.concurrency)
        except ImageMissing as missing:
            return self._fallback(message, Outcome(failed(Status.DEVELOPER_ERROR, str(missing)), keep=False))
        except ContainerCreateFailed as error:
            log.warning("no container", action="activation.no_container", id=message.activation_id, reason=str(error))
            if self._ports.handback.problem() is not None:
                return None
            return self._fallback(message, outcomes.of_platform(NO_CONTAINER))
        except PoolClosed:
            return None
        phases.place = round((clock.monotonic() - began) * 1000, 3)
        return await self._with_lease(message, runnable, lease, phases)

    async def _with_lease(
        self, message: ActivationMessage, runnable: Runnable, lease: Lease, phases: Phases
    ) -> Activation | None:
        outcome: Outcome | None = None
        try:
            # 2. The start is durable before anything is sent to the guest.
            handback = self._ports.handback
            if (self.stopping and handback.goes_on(message)) or not await handback.begin(message):
                return None
            start_ms = self._ports.clock.now_ms()
            outcome, logs = await self._in_guest(message, runnable, lease, phases)
        finally:
            keep = outcome is not None and outcome.keep
            lease.release(keep=keep, ran_s=phases.run / 1000)
        # 6. The record.
        placed = Placed(
            node=self._node,
            attempt=message.attempt,
            start=lease.start,
            why=message.placed,
            trace=message.traceparent,
            phases=phases,
        )
        return finished(message, runnable.action, outcome, start_ms=start_ms, logs=logs, placed=placed)

    async def _in_guest(
        self, message: ActivationMessage, runnable: Runnable, lease: Lease, phases: Phases
    ) -> tuple[Outcome, tuple[str, ...]]:
        limit_bytes = runnable.action.limits.logs * _MIB
        sink = self._ports.logs.open(message.namespace, message.activation_id, limit_bytes=limit_bytes)
        lease.output.open(message.activation_id, sink)
        try:
            outcome = await self._init_and_run(message, runnable, lease, phases)
            # 5. The logs: what was written before the answer is there already.
            await self._collect_logs(message, runnable, lease, outcome)
        finally:
            logs = lease.output.close(message.activation_id)
        return outcome, logs

    async def _init_and_run(
        self, message: ActivationMessage, runnable: Runnable, lease: Lease, phases: Phases
    ) -> Outcome:
        api_key = await self._ports.keys.key_of(message) if runnable.gives_key else None
        # 3. /init, once for each container.
        if lease.fresh:
            failure = await self._init(message, runnable, lease, phases, api_key)
            if failure is not None:
                return failure
        # 4. /run.
        return await self._run(message, lease, phases, api_key)

    async def _init(
        self, message: ActivationMessage, runnable: Runnable, lease: Lease, phases: Phases, api_key: str | None
    ) -> Outcome | None:
        clock, limit_ms = self._ports.clock, message.demand.timeout_ms
        self.running[message.activation_id] = "initialising"
        body = init_body(message, runnable.action, deadline_ms=clock.now_ms() + limit_ms, api_key=api_key)
        began = clock.monotonic()
        try:
            answer = await lease.container.post(
                "/init", body, timeout_s=limit_ms / 1000, max_answer=self._result_bytes
            )
        except TimeoutError:
            return outcomes.of_timeout(limit_ms, in_init=True)
        except ContainerGone as gone:
            return self._death(message, gone, in_init=True)
        finally:
            took_s = clock.monotonic() - began
            phases.init = round(max(took_s * 1000, 0.001), 3)
        if answer.status != 200:
            return outcomes.of_failed_init(answer)
        several = runnable.action.limits.concurrency > 1 and takes_several(answer.body)
        lease.initialised(runnable.action.limits.concurrency if several else 1, took_s)
        return None

    async def _run(self, message: ActivationMessage, lease: Lease, phases: Phases, api_key: str | None) -> Outcome:
        clock, limit_ms = self._ports.clock, message.demand.timeout_ms
        self.running[message.activation_id] = "running"
        body = run_body(message, deadline_ms=clock.now_ms() + limit_ms, api_key=api_key)
        self._long.add(lease, _WATCH_AFTER_S)
        began = clock.monotonic()
        try:
            answer = await lease.container.post(
                "/run", body, timeout_s=limit_ms / 1000, max_answer=self._result_bytes
            )
        except TimeoutError:
            return outcomes.of_timeout(limit_ms, in_init=False)
        except ContainerGone as gone:
            return self._death(message, gone, in_init=False)
        finally:
            phases.run = round((clock.monotonic() - began) * 1000, 3)
            self._long.remove(lease)
        return outcomes.of_run(answer, self._result_bytes)

    def _death(self, message: ActivationMessage, gone: ContainerGone, *, in_init: bool) -> Outcome:
        if not self.stopping:
            return outcomes.of_death(oom=gone.oom, in_init=in_init)
        if self._ports.handback.runs_again(message):
            raise BrokenOff
        return outcomes.of_stopped(self.stopping, message)

    # -- logs -----------------------------------------------------------------------------------------------------

    async def _collect_logs(
        self, message: ActivationMessage, runnable: Runnable, lease: Lease, outcome: Outcome
    ) -> None:
        output, owner = lease.output, message.activation_id
        output.feed(lease.container.read_logs())
        if runnable.action.limits.logs:
            remark = await self._remark(runnable, lease, owner, outcome)
            if remark is not None:
                output.note(owner, log_line(self._now_ns(), "stderr", remark))
        _stop_watching(lease, output)

    async def _remark(self, runnable: Runnable, lease: Lease, owner: ActivationId, outcome: Outcome) -> str | None:
        """Waits for the end of the output where there will be one. Code that failed may have said more than is there."""
        if outcome.response.code is Status.DEVELOPER_ERROR:
            return MISSING_LOGS
        if lease.output.ended(owner):
            return None
        if not outcome.keep:
            return MISSING_LOGS
        waits = runnable.spec.image is None
        return UNCOLLECTED if waits and not await self._wait_for_end(lease, owner) else None

    async def _wait_for_end(self, lease: Lease, owner: ActivationId) -> bool:
        """Wait for the two ends of this run's output, at most `_LOG_WAIT_S` without new data."""
        arrived = asyncio.Event()
        while not lease.output.ended(owner):
            arrived.clear()
            lease.container.watch_logs(arrived.set)
            try:
                await asyncio.wait_for(arrived.wait(), _LOG_WAIT_S)
            except TimeoutError:
                return False
            lease.output.feed(lease.container.read_logs())
        return True

    def _now_ns(self) -> int:
        """The end of this millisecond: after the lines that came within it."""
        return self._ports.clock.now_ms() * 1_000_000 + 999_999

    # -- the end --------------------------------------------------------------------------------------------------

    def _fallback(self, message: ActivationMessage, outcome: Outcome) -> Activation:
        return fallback(message, outcome.response, now_ms=self._ports.clock.now_ms(), node=self._node)


def _watch(lease: Lease) -> None:
    """Read a long run's output as it comes, so that its lines carry their own times and its pipe never fills."""
    lease.container.watch_logs(lambda: lease.output.feed(lease.container.read_logs()))


def _stop_watching(lease: Lease, output: GuestOutput) -> None:
    if output.open_count == 1:
        lease.container.watch_logs(None)
