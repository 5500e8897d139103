"""Carries out what the state machine commands, and hands containers to activations as leases."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import ContainerCreateFailed, ContainerError, ImageMissing
from upwhisk.common.resource import Resource
from upwhisk.common.spi.containers import Container, ContainerFactory, ContainerSpec
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.output import GuestOutput
from upwhisk.invoker.pool.slots import (
    Command,
    Destroy,
    Freeze,
    Grant,
    Phase,
    Refuse,
    Start,
    Thaw,
    Want,
    WarmKey,
)
from upwhisk.invoker.pool.state import PoolLimits, PoolState

log = structlog.get_logger(__name__)

_TICK_S = 0.25
_BUSY_TICK_S = 0.01
"""While requests wait, guesses about who will be free soon are checked this often."""

_TRIES = 3
_AT_ONCE_S = 1.0


class PoolClosed(ContainerError):
    """The node stops: the activation has not started and stays accepted."""


class Running:
    """A container with its output, as the pool keeps it."""

    __slots__ = ("container", "output", "started_s")

    def __init__(self, container: Container, started_s: float) -> None:
        self.container = container
        self.output = GuestOutput()
        self.started_s = started_s


class Lease:
    """The right of one activation to use a container. `release` it exactly once."""

    __slots__ = ("_pool", "_released", "number", "running", "start")

    def __init__(self, pool: Pool, number: int, running: Running, start: str) -> None:
        self._pool = pool
        self._released = False
        self.number = number
        self.running = running
        self.start = start

    @property
    def container(self) -> Container:
        return self.running.container

    @property
    def output(self) -> GuestOutput:
        return self.running.output

    @property
    def fresh(self) -> bool:
        """It has to be initialised first."""
        return self.start != "warm"

    def initialised(self, capacity: int, took_s: float) -> None:
        self._pool.handle_initialised(self, capacity, took_s)

    def release(self, *, keep: bool, ran_s: float) -> None:
        if not self._released:
            self._released = True
            self._pool.handle_released(self, keep=keep, ran_s=ran_s)


class Pool(Resource):
    """One node's containers. `acquire` waits for a container; everything else follows from the state machine."""

    def __init__(self, factory: ContainerFactory, limits: PoolLimits, clock: Clock) -> None:
        self.state = PoolState(limits)
        self._factory = factory
        self._clock = clock
        self._running: dict[int, Running] = {}
        self._waiters: dict[int, asyncio.Future[Lease]] = {}
        self._tickets = 0
        self._tasks = TaskOwner("pool")
        self._ticker: asyncio.TimerHandle | None = None
        self._closing = False

    async def start(self) -> None:
        """Returns when what the manifest wants prewarmed is ready (or could not be made)."""
        self._carry_out(self.state.ticked(self._clock.monotonic()))
        self._schedule_tick()

    async def aclose(self) -> None:
        self._closing = True
        if self._ticker is not None:
            self._ticker.cancel()
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(PoolClosed("the node is stopping"))
        self._waiters.clear()
        await self._tasks.aclose(grace_s=0.0)
        gone = [r.container.destroy() for r in self._running.values()]
        self._running.clear()
        await asyncio.gather(*gone, return_exceptions=True)

    async def acquire(self, key: WarmKey, spec: ContainerSpec, concurrency: int) -> Lease:
        """A container for one activation. `ContainerCreateFailed` when none could be made."""
        if self._closing:
            raise PoolClosed("the node is stopping")
        self._tickets += 1
        ticket = self._tickets
        commands = self.state.wanted(Want(ticket, key, spec, concurrency, self._clock.monotonic()))
        if commands and type(commands[0]) is Grant:
            return await self._granted(commands[0], spec)
        waiter: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._waiters[ticket] = waiter
        self._carry_out(commands)
        self._schedule_tick()
        try:
            lease = await waiter
        except asyncio.CancelledError:
            self._give_up(ticket, key, waiter)
            raise
        return await self._resized(lease, spec)

    async def _granted(self, grant: Grant, spec: ContainerSpec) -> Lease:
        lease = Lease(self, grant.slot, self._running[grant.slot], grant.start)
        return lease if grant.start == "warm" else await self._resized(lease, spec)

    async def _resized(self, lease: Lease, spec: ContainerSpec) -> Lease:
        """A container that was made before it was known for whom gets its memory limit now."""
        if lease.fresh and lease.container.spec.memory_mb != spec.memory_mb:
            try:
                await lease.container.resize(spec.memory_mb)
            except ContainerError as error:
                lease.release(keep=False, ran_s=0.0)
                raise ContainerCreateFailed(str(error)) from error
        return lease

    def _give_up(self, ticket: int, key: WarmKey, waiter: asyncio.Future[Lease]) -> None:
        self._waiters.pop(ticket, None)
        if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            waiter.result().release(keep=True, ran_s=0.0)
        else:
            self._carry_out(self.state.cancelled(ticket, key))

    # -- what leases report ---------------------------------------------------------------------------------------

    def handle_initialised(self, lease: Lease, capacity: int, took_s: float) -> None:
        now = self._clock.monotonic()
        self._carry_out(self.state.initialised(lease.number, capacity, took_s + lease.running.started_s, now))

    def handle_released(self, lease: Lease, *, keep: bool, ran_s: float) -> None:
        now = self._clock.monotonic()
        commands = self.state.released(lease.number, keep=keep, ran_s=ran_s, now=now)
        if commands:
            self._carry_out(commands)

    # -- carrying out ---------------------------------------------------------------------------------------------

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Grant():
                    self._answer(command)
                case Refuse(ticket, reason, missing):
                    waiter = self._waiters.pop(ticket, None)
                    if waiter is not None and not waiter.done():
                        waiter.set_exception(ImageMissing(missing) if missing else ContainerCreateFailed(reason))
                case Start(slot, spec):
                    self._spawn(self._create(slot, spec), f"start-{slot}")
                case Freeze(slot):
                    self._spawn(self._freeze(slot), f"freeze-{slot}")
                case Thaw(slot):
                    self._spawn(self._thaw(slot), f"thaw-{slot}")
                case Destroy(slot):
                    self._spawn(self._destroy(slot), f"destroy-{slot}")

    def _answer(self, grant: Grant) -> None:
        waiter = self._waiters.pop(grant.ticket, None)
        lease = Lease(self, grant.slot, self._running[grant.slot], grant.start)
        if waiter is None or waiter.done():
            lease.release(keep=not lease.fresh, ran_s=0.0)
        else:
            waiter.set_result(lease)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self._closing and not name.startswith("destroy"):
            work.close()
        else:
            self._tasks.start(work, name)

    async def _create(self, number: int, spec: ContainerSpec) -> None:
        began = self._clock.monotonic()
        try:
            container = await self._made(spec)
        except ContainerError as error:
            log.warning("container not made", action="pool.create_failed", kind=spec.kind, reason=str(error))
            missing = error.image if isinstance(error, ImageMissing) else ""
            failed = self.state.start_failed(number, str(error), self._clock.monotonic(), missing=missing)
            self._carry_out(failed)
            return
        now = self._clock.monotonic()
        self._running[number] = Running(container, now - began)
        commands = self.state.started(number, now)
        container.on_exit(lambda: self._died(number))
        self._carry_out(commands)

    async def _made(self, spec: ContainerSpec) -> Container:
        """What fails at once is tried again: the zygote, or the guest itself, may have been killed just then."""
        for tries_left in reversed(range(_TRIES)):
            began = self._clock.monotonic()
            try:
                return await self._factory.create(spec)
            except ContainerCreateFailed as error:
                if not tries_left or self._clock.monotonic() - began > _AT_ONCE_S:
                    raise
                log.warning("container tried again", action="pool.create_again", reason=str(error))
        raise AssertionError("the last try returns or raises")

    def _died(self, number: int) -> None:
        if not self._closing:
            self._carry_out(self.state.died(number, self._clock.monotonic()))

    async def _freeze(self, number: int) -> None:
        running = self._running.get(number)
        if running is None:
            return
        try:
            await running.container.freeze()
        except ContainerError as error:
            log.warning("container not frozen", action="pool.freeze_failed", reason=str(error))
            self._died(number)
            return
        self._carry_out(self.state.frozen(number))

    async def _thaw(self, number: int) -> None:
        running = self._running.get(number)
        if running is None:
            return
        try:
            await running.container.thaw()
        except ContainerError as error:
            log.warning("container not thawed", action="pool.thaw_failed", reason=str(error))
            self._died(number)
            return
        self._carry_out(self.state.thawed(number, self._clock.monotonic()))

    async def _destroy(self, number: int) -> None:
        running = self._running.pop(number, None)
        if running is not None:
            await running.container.destroy()

    def end_busy(self) -> None:
        """Destroy every container that runs something: their activations end."""
        for number, slot in list(self.state.slots.items()):
            if slot.active and number in self._running:
                self._spawn(self._running[number].container.destroy(), f"destroy-{number}")

    # -- time -----------------------------------------------------------------------------------------------------

    def _schedule_tick(self) -> None:
        if self._closing:
            return
        delay = _BUSY_TICK_S if self.state.waiting else _TICK_S
        loop = asyncio.get_running_loop()
        if self._ticker is not None:
            if self._ticker.when() <= loop.time() + delay:
                return
            self._ticker.cancel()
        self._ticker = loop.call_later(delay, self._tick)

    def _tick(self) -> None:
        self._ticker = None
        self._carry_out(self.state.ticked(self._clock.monotonic()))
        self._schedule_tick()

    def statistics(self) -> dict[str, int]:
        counts = {phase.name.lower(): self.state.count(phase) for phase in Phase}
        return {**counts, "waiting": self.state.waiting, "memory_mb": self.state.memory_mb()}
