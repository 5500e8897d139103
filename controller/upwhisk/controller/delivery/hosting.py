"""The logs that a controller owns: one of its own, and those of dead controllers until all in them has ended.

Each start opens a new log, so a controller that comes back reads nothing of its past: its former log is an orphan like
any other, and whoever sees it first takes it over. A claim in the registry says who hosts a log; it only decides who
begins: what counts is decided in the log itself (`ledger.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from upwhisk.common.clock import Clock, seconds_since_boot
from upwhisk.common.errors import StoreUnavailable, UpwhiskError
from upwhisk.common.ids import ActivationId, ControllerId, new_instance_id
from upwhisk.common.resource import Resource
from upwhisk.common.spi.bus import MessageBus
from upwhisk.common.spi.nodes import Claim, NodeRegistry
from upwhisk.common.tasks import TaskOwner
from upwhisk.controller.delivery.log import Answered, ControllerLog, LogPorts, UnreadableLog
from upwhisk.controller.delivery.orphans import LEFT, RETIRED, Orphans
from upwhisk.controller.delivery.recorder import Recorder

log = structlog.get_logger(__name__)

LOGS = "logs/"
"""Flags of this name are the logs that exist; claims of the same name are their hosts."""
CONTROLLERS = "controllers/"
_LEAVE_S = 5.0

Adopted = Callable[[ControllerLog], Awaitable[None]]
Lost = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HostingPorts:
    """`now`: seconds that also pass while the machine is suspended."""

    bus: MessageBus
    registry: NodeRegistry
    recorder: Recorder
    clock: Clock
    now: Callable[[], float] = seconds_since_boot


@dataclass(slots=True, eq=False)
class _Hosted:
    log: ControllerLog
    claim: Claim | None


class Hosting(Resource):
    """`name` is the controller's. `answered`, `adopted` and `lost` are set before `start`."""

    def __init__(self, ports: HostingPorts, name: str, *, lease_s: float) -> None:
        self._ports = ports
        self._owner = f"{name}/{new_instance_id()}"
        self._name = name
        self._lease_s = lease_s
        self._own: _Hosted | None = None
        self._others: dict[str, _Hosted] = {}
        self._orphans = Orphans()
        self._membership: Claim | None = None
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._tasks = TaskOwner("hosting")
        self.answered: Answered = lambda message, counted: None
        self.adopted: Adopted = _nobody
        self.lost: Lost = lambda name: None
        self.controllers_changed: Callable[[int], None] = lambda count: None

    async def start(self) -> None:
        await self._open_own()
        await self._look()
        self._tasks.start(self._go_on(), "hosting")

    async def aclose(self) -> None:
        """What is under way is left to others: they see at once that the logs have no host."""
        await self._tasks.aclose(grace_s=0.0)
        await self._ports.recorder.barrier(_LEAVE_S / 2)
        own, others = self._own, list(self._others.values())
        self._own, self._others = None, {}
        await asyncio.gather(*(self._leave(each, own=each is own) for each in [*others, *([own] if own else [])]))
        if self._membership is not None:
            await self._membership.release()

    # -- what the journal asks --------------------------------------------------------------------------------------

    @property
    def own(self) -> ControllerLog:
        """`StoreUnavailable` while there is none."""
        if self._own is None:
            raise StoreUnavailable(f"The log of accepted work is not available: {_NONE}.")
        return self._own.log

    def logs(self) -> list[ControllerLog]:
        return [*([self._own.log] if self._own else []), *(hosted.log for hosted in self._others.values())]

    def log_of(self, id: ActivationId | None) -> ControllerLog:
        """The log that holds this id's work; the own one for what is new. `StoreUnavailable` while there is none."""
        if id is not None:
            for hosted in self._others.values():
                if id in hosted.log.ledger.pending:
                    return hosted.log
        return self.own

    def named(self, name: str) -> ControllerLog | None:
        return next((each for each in self.logs() if each.name == name and not each.lost), None)

    def problem(self) -> str | None:
        return _NONE if self._own is None or self._own.log.lost else None

    def unreadable(self) -> list[str]:
        """Why logs that nobody hosts are left alone."""
        return list(self._orphans.unreadable.values())

    # -- looking around -----------------------------------------------------------------------------------------------

    async def _go_on(self) -> None:
        while True:
            await self._ports.clock.sleep(self._lease_s / 3)
            await self._try(self._look)

    async def _look(self) -> None:
        for each in self.logs():
            each.look()
        if self._own is None:
            self._begin("", self._open_own)
        await self._claim_again()
        await self._count_controllers()
        for name in await self._alone():
            self._begin(name, lambda name=name: self._adopt(name))  # type: ignore[misc]
        for hosted in self._others.values():
            if hosted.log.is_idle:
                self._begin(hosted.log.name, lambda hosted=hosted: self._retire(hosted))  # type: ignore[misc]

    def _begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """What takes its time must not hold up looking after the other logs. `name`: one task for each; empty: one's own."""
        if name not in self._busy:
            task = self._busy[name] = self._tasks.start(self._try(work), f"log-{name}")
            task.add_done_callback(lambda _: self._busy.pop(name, None))

    async def _try(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except UpwhiskError as error:
            log.warning("logs not looked after", action="hosting.failed", reason=str(error))

    async def _claim_again(self) -> None:
        """Claims that were lost without anybody taking the log."""
        for hosted in [*self._others.values(), *([self._own] if self._own else [])]:
            if hosted.claim is None or hosted.claim.lost:
                hosted.claim = await self._claim(LOGS + hosted.log.name)

    async def _claim(self, name: str) -> Claim | None:
        return await self._ports.registry.claim(name, self._owner, ttl_s=self._lease_s)

    async def _count_controllers(self) -> None:
        if self._membership is None or self._membership.lost:
            self._membership = await self._claim(CONTROLLERS + self._owner)
        self.controllers_changed(max(1, len(await self._ports.registry.holders(CONTROLLERS))))

    async def _alone(self) -> list[str]:
        registry = self._ports.registry
        flags, holders = await registry.flags(LOGS), await registry.holders(LOGS)
        held = {name.removeprefix(LOGS) for name in holders} | {each.name for each in self.logs()} | self._busy.keys()
        return self._orphans.look({name.removeprefix(LOGS): value for name, value in flags.items()}, held)

    # -- beginning and ending -----------------------------------------------------------------------------------------

    async def _open_own(self) -> None:
        name = f"{self._name}-{new_instance_id()}"
        await self._ports.registry.put_flag(LOGS + name, self._name)
        self._own = await self._host(name)
        log.info("log opened", action="hosting.opened", log=name)

    async def _adopt(self, name: str) -> None:
        try:
            hosted = await self._host(name)
        except UnreadableLog as error:
            log.error("log not taken over", action="hosting.unreadable", log=name, reason=str(error))
            self._orphans.unreadable[name] = str(error)
            return
        if hosted is None:
            return
        self._others[name] = hosted
        log.info("log taken over", action="hosting.adopted", log=name, pending=len(hosted.log.ledger.pending))
        await self.adopted(hosted.log)

    async def _host(self, name: str) -> _Hosted | None:
        """Claim it and take it over; None if somebody else holds the claim. `StoreUnavailable`: nothing is left of the attempt."""
        claim = await self._claim(LOGS + name)
        if claim is None:
            return None
        made = self._make(name)
        try:
            await made.start()
            if made.lost:  # we were away meanwhile, and read at once that it is ours and that it is another's
                raise StoreUnavailable(f"The log '{name}' was taken over by another controller at once.")
        except BaseException:
            await made.aclose()
            await claim.release()
            raise
        hosted = _Hosted(made, claim)
        made.on_lost(lambda: self._lose(hosted))
        return hosted

    def _make(self, name: str) -> ControllerLog:
        ports = LogPorts(self._ports.bus, self._ports.recorder, self.answered, self._ports.now)
        return ControllerLog(ports, name, ControllerId(f"{self._name}/{new_instance_id()}"))

    def _lose(self, lost: _Hosted) -> None:
        """Whoever takes it over, or has, answers for it from here on."""
        self._others.pop(lost.log.name, None)
        if self._own is lost:
            self._own = None
        self.lost(lost.log.name)
        if (busy := self._busy.get(lost.log.name)) is not None:
            busy.cancel()
        self._tasks.start(self._try(lambda: self._after_loss(lost)), "after-loss")

    async def _after_loss(self, lost: _Hosted) -> None:
        try:
            await lost.log.aclose()
        finally:
            if lost.claim is not None:
                await lost.claim.release()
        if self._own is None:
            self._begin("", self._open_own)

    async def _retire(self, hosted: _Hosted) -> None:
        """All in it has ended. Its topic stays for a while, so that a former owner who was away reads there that it is its own
        no more (`sweep.py`)."""
        name, flag = hosted.log.name, LOGS + hosted.log.name
        await self._ports.registry.put_flag(flag, RETIRED + self._name)
        if not hosted.log.is_idle:  # something came meanwhile
            await self._ports.registry.put_flag(flag, self._name)
            return
        self._others.pop(name, None)
        try:
            await hosted.log.aclose()
            log.info("log retired", action="hosting.retired", log=name)
        finally:
            if hosted.claim is not None:
                await hosted.claim.release()

    async def _leave(self, hosted: _Hosted, *, own: bool) -> None:
        """One's own log goes at once if it is of no use any more: nobody owned it before us who could come back to it."""
        name, registry = hosted.log.name, self._ports.registry
        try:
            async with asyncio.timeout(_LEAVE_S):
                hosted.log.look()
                goes = own and hosted.log.is_idle and not hosted.log.lost
                await hosted.log.aclose()
                if goes:
                    await registry.put_flag(LOGS + name, None)
                    await self._ports.bus.remove_topic(hosted.log.topic)
                elif not hosted.log.lost:
                    await registry.put_flag(LOGS + name, LEFT)
        except (TimeoutError, UpwhiskError) as error:
            log.warning("log left behind", action="hosting.left", log=name, reason=str(error))
        finally:
            if hosted.claim is not None:
                await hosted.claim.release()


_NONE = "this controller has no log at the moment"


async def _nobody(adopted: ControllerLog) -> None:
    return None
