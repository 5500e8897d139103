"""Carries out what the state machine commands, and hands containers to activations as leases."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal

import structlog

from upwhisk.common.clock import Clock
from upwhisk.common.errors import ContainerCreateFailed, ContainerError, ImageMissing, ImageUnfetched
from upwhisk.common.resource import Resource
from upwhisk.common.spi.containers import Container, ContainerFactory, ContainerSpec
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.pool.lease import Lease, PoolClosed, Running
from upwhisk.invoker.pool.policy import TRIES
from upwhisk.invoker.pool.preparing import Preparing
from upwhisk.invoker.pool.slots import (
    Command,
    Destroy,
    Freeze,
    Grant,
    Phase,
    PoolLimits,
    Refuse,
    Start,
    Thaw,
    Want,
    WarmKey,
)
from upwhisk.invoker.pool.state import PoolState

log = structlog.get_logger(__name__)

_TICK_S = 0.25
_BUSY_TICK_S = 0.01
"""While requests wait, guesses about who will be free soon are checked this often."""
_STEP_S = 10.0
"""Freezing, thawing and resizing take milliseconds; what takes longer than this has failed."""


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
        self._preparing = Preparing(factory)
        self._closing = False

    async def start(self) -> None:
        """What is to be prewarmed is being made when this returns."""
        self.tick()

    async def aclose(self) -> None:
        self._closing = True
        if self._ticker is not None:
            self._ticker.cancel()
        for waiter in self._waiters.values():
            if not waiter.done():
                waiter.set_exception(PoolClosed("the node is stopping"))
        self._waiters.clear()
        self._preparing.close()
        await self._tasks.aclose(grace_s=0.0)
        gone = [r.container.destroy() for r in self._running.values()]
        self._running.clear()
        await asyncio.gather(*gone, return_exceptions=True)

    async def acquire(self, key: WarmKey, spec: ContainerSpec, concurrency: int) -> Lease:
        """A container for one activation, with the memory that `spec` says.

        `ContainerCreateFailed`, `ImageMissing`: none could be had, and trying again was in vain.
        """
        if spec.image is not None:
            return await self._with_image(key, spec, concurrency)
        return await self._acquire(key, spec, concurrency)

    async def _with_image(self, key: WarmKey, spec: ContainerSpec, concurrency: int) -> Lease:
        """Its image is fetched before it waits for one of the few starts at once: others start meanwhile."""
        prepares = not self.state.serves(key)
        for _ in range(TRIES):
            if prepares:
                await self._preparing.prepare(spec, key.namespace)
            try:
                return await self._acquire(key, spec, concurrency)
            except ImageUnfetched:
                prepares = True  # somebody has removed it meanwhile
        raise ContainerCreateFailed(f"the image '{spec.image}' was fetched and gone again, {TRIES} times")

    async def _acquire(self, key: WarmKey, spec: ContainerSpec, concurrency: int) -> Lease:
        if self._closing:
            raise PoolClosed("the node is stopping")
        self._tickets += 1
        want = Want(self._tickets, key, spec, concurrency, self._clock.monotonic())
        commands = self.state.wanted(want)
        if len(commands) == 1 and type(commands[0]) is Grant and commands[0].ticket == want.ticket:
            lease = self._lease(commands[0])  # the hot way: no future, no turn of the loop
        else:
            lease = await self._wait_for(want, commands)
        while lease.fresh and lease.container.spec.memory_mb != spec.memory_mb:
            # It was made before it was known for whom: its limit is set now.
            failure = await self._resize(lease, spec.memory_mb)
            if failure is None:
                break
            commands = self.state.unfit(lease.number, want, failure, self._clock.monotonic())
            lease = await self._wait_for(want, commands)
        return lease

    async def _wait_for(self, want: Want, commands: list[Command]) -> Lease:
        """Carry out what the state machine says about this request, and wait for what becomes of it."""
        waiter: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._waiters[want.ticket] = waiter
        self._carry_out(commands)
        self._schedule_tick()
        try:
            return await waiter
        except asyncio.CancelledError:
            self._waiters.pop(want.ticket, None)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                waiter.result().release(keep=True, ran_s=0.0)
            else:
                self.state.cancelled(want.ticket, want.key)
            raise

    async def _resize(self, lease: Lease, memory_mb: int) -> ContainerError | None:
        try:
            async with asyncio.timeout(_STEP_S):
                await lease.container.resize(memory_mb)
        except ContainerError as error:
            failure = error
        except TimeoutError:
            failure = ContainerError(f"its memory limit could not be set within {_STEP_S:g} s")
        except BaseException:
            lease.release(keep=False, ran_s=0.0)
            raise
        else:
            return None
        log.warning("container not resized", action="pool.resize_failed", reason=str(failure))
        return ContainerCreateFailed(str(failure))

    def _lease(self, grant: Grant) -> Lease:
        return Lease(self, grant.slot, self._running[grant.slot], grant.start)

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
                case Grant(ticket):
                    self._answer(ticket, self._lease(command))
                case Refuse(ticket, error):
                    waiter = self._waiters.pop(ticket, None)
                    if waiter is not None and not waiter.done():
                        waiter.set_exception(error)
                case Start(slot, spec):
                    self._spawn(self._create(slot, spec), f"start-{slot}")
                case Freeze(slot):
                    self._spawn(self._freeze(slot), f"freeze-{slot}")
                case Thaw(slot):
                    self._spawn(self._thaw(slot), f"thaw-{slot}")
                case Destroy(slot):
                    self._spawn(self._destroy(slot), f"destroy-{slot}")

    def _answer(self, ticket: int, lease: Lease) -> None:
        waiter = self._waiters.pop(ticket, None)
        if waiter is None or waiter.done():
            lease.release(keep=True, ran_s=0.0)
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
            async with asyncio.timeout(self.state.limits.start_s):
                container = await self._factory.create(spec)
        except ContainerError as error:
            self._not_created(number, spec, error, began)
        except TimeoutError:
            text = f"the container was not there within {self.state.limits.start_s:g} s"
            self._not_created(number, spec, ContainerCreateFailed(text), began)
        except Exception as error:
            log.exception("container not made", action="pool.create_broken", kind=spec.kind)
            self._not_created(number, spec, ContainerCreateFailed(f"{type(error).__name__}: {error}"), began)
        else:
            self._created(number, container, began)

    def _created(self, number: int, container: Container, began: float) -> None:
        now = self._clock.monotonic()
        if not container.alive:
            self._tasks.start(container.destroy(), f"destroy-{number}")
            self._not_created(number, container.spec, ContainerCreateFailed("the guest died at birth"), began)
            return
        self._running[number] = Running(container, now - began)
        self._carry_out(self.state.started(number, now))
        container.on_exit(lambda: self._died(number))

    def _not_created(self, number: int, spec: ContainerSpec, error: ContainerError, began: float) -> None:
        """Tried again unless that is hopeless or too late: the zygote, or the guest itself, may have been killed just
        then. All tries for one request together take no longer than one start may."""
        now = self._clock.monotonic()
        hopeless = isinstance(error, ImageMissing | ImageUnfetched)
        again = now - began <= self.state.limits.start_s / TRIES and not hopeless
        log.warning(
            "container not made", action="pool.create_failed", kind=spec.kind, reason=str(error), again=again
        )
        self._carry_out(self.state.start_failed(number, error, now, again=again))
        self._schedule_tick()

    def _died(self, number: int) -> None:
        if not self._closing:
            self._carry_out(self.state.died(number, self._clock.monotonic()))
            self._schedule_tick()

    async def _freeze(self, number: int) -> None:
        if await self._step(number, "freeze"):
            self._carry_out(self.state.frozen(number))

    async def _thaw(self, number: int) -> None:
        if await self._step(number, "thaw"):
            self._carry_out(self.state.thawed(number, self._clock.monotonic()))

    async def _step(self, number: int, name: Literal["freeze", "thaw"]) -> bool:
        """Whether it was done; a container that cannot do it is of no use any more."""
        running = self._running.get(number)
        if running is None:
            return False
        container = running.container
        try:
            async with asyncio.timeout(_STEP_S):
                await (container.freeze() if name == "freeze" else container.thaw())
        except (ContainerError, TimeoutError) as error:
            reason = str(error) or f"not within {_STEP_S:g} s"
            log.warning("a container failed", action=f"pool.{name}_failed", reason=reason)
            self._died(number)
            return False
        return True

    async def _destroy(self, number: int) -> None:
        running = self._running.get(number)
        if running is not None:
            await running.container.destroy()
            del self._running[number]

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
        self._ticker = loop.call_later(delay, self.tick)

    def tick(self) -> None:
        """Time passed."""
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        try:
            self._carry_out(self.state.ticked(self._clock.monotonic()))
        finally:
            self._schedule_tick()

    def statistics(self) -> dict[str, int]:
        counts = {phase.name.lower(): self.state.count(phase) for phase in Phase}
        return {**counts, "waiting": self.state.waiting, "memory_mb": self.state.memory_mb()}
