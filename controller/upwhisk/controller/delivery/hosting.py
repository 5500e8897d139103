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

from upwhisk.common.clock import Clock
from upwhisk.common.errors import UpwhiskError
from upwhisk.common.ids import ActivationId, ControllerId, new_instance_id
from upwhisk.common.resource import Resource
from upwhisk.common.spi.bus import MessageBus
from upwhisk.common.spi.nodes import Claim, NodeRegistry
from upwhisk.common.tasks import TaskOwner
from upwhisk.controller.delivery.log import Answered, ControllerLog, UnreadableLog
from upwhisk.controller.delivery.recorder import Recorder

log = structlog.get_logger(__name__)

LOGS = "logs/"
"""Flags of this name are the logs that exist; claims of the same name are their hosts."""
CONTROLLERS = "controllers/"
RETIRED = "retired "
"""Begins the flag of a log in which all has ended, followed by the time, ms. Its topic goes later (`sweep.py`): a former
owner who was cut off may still write to it, and has to read there that it is its own no more."""
LEFT = "left"
"""The flag of a log whose owner has stopped in good order: it is taken over at once."""
UNSEEN_S = 300.0
"""A controller that has not seen the registry for so long cannot know whether its log was retired: it accepts nothing."""
_LOOKS_BEFORE_ADOPTION = 2

Adopted = Callable[[ControllerLog], Awaitable[None]]
Lost = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class HostingPorts:
    bus: MessageBus
    registry: NodeRegistry
    recorder: Recorder
    clock: Clock


@dataclass(slots=True)
class _Hosted:
    log: ControllerLog
    claim: Claim | None


class Hosting(Resource):
    """`name` is the controller's. `answered`, `adopted` and `lost` are set before `start`."""

    def __init__(self, ports: HostingPorts, name: str, *, lease_s: float) -> None:
        self._ports = ports
        self._name = name
        self._lease_s = lease_s
        self._own: _Hosted | None = None
        self._adopted: dict[str, _Hosted] = {}
        self._seen: dict[str, int] = {}
        self._unreadable: dict[str, str] = {}
        """Logs of a newer release, and why they cannot be read: they wait for a controller of that release."""
        self._membership: Claim | None = None
        self._tasks = TaskOwner("hosting")
        self._looked_at = 0.0
        self.answered: Answered = lambda message: None
        self.adopted: Adopted = _nobody
        self.lost: Lost = lambda name: None
        self.controllers_changed: Callable[[int], None] = lambda count: None

    async def start(self) -> None:
        await self._open_own()
        await self._look()
        self._tasks.start(self._go_on(), "hosting")

    async def aclose(self) -> None:
        """What is under way is left to others: they see the logs without a host at once."""
        await self._tasks.aclose(grace_s=0.0)
        for hosted in [*self._adopted.values(), *([self._own] if self._own else [])]:
            await self._leave(hosted)
        self._adopted.clear()
        self._own = None
        if self._membership is not None:
            await self._membership.release()

    # -- what the journal asks --------------------------------------------------------------------------------------

    @property
    def own(self) -> ControllerLog:
        assert self._own is not None, "started"
        return self._own.log

    def logs(self) -> list[ControllerLog]:
        return [*([self._own.log] if self._own else []), *(hosted.log for hosted in self._adopted.values())]

    def log_of(self, id: ActivationId | None) -> ControllerLog:
        """The log that holds this id's work; the own one for what is new."""
        if id is not None:
            for hosted in self._adopted.values():
                if id in hosted.log.ledger.pending:
                    return hosted.log
        return self.own

    def named(self, name: str) -> ControllerLog | None:
        return next((each for each in self.logs() if each.name == name), None)

    def problem(self) -> str | None:
        if self._own is None or self._own.log.lost:
            return "this controller has no log at the moment"
        if self._ports.clock.monotonic() - self._looked_at > UNSEEN_S:
            return f"this controller has not seen the registry for {UNSEEN_S:.0f} s"
        return None

    def unreadable(self) -> list[str]:
        """Why logs that nobody hosts are left alone."""
        return list(self._unreadable.values())

    # -- one's own log ------------------------------------------------------------------------------------------------

    async def _open_own(self) -> None:
        name = f"{self._name}-{new_instance_id()}"
        made = self._make(name)
        await self._ports.registry.put_flag(LOGS + name, self._name)
        claim = await self._ports.registry.claim(LOGS + name, name, ttl_s=self._lease_s)
        await made.start()
        self._own = _Hosted(made, claim)
        made.on_lost(lambda: self._lose(made))
        log.info("log opened", action="hosting.opened", log=name)

    def _make(self, name: str) -> ControllerLog:
        ports = self._ports
        owner = ControllerId(f"{self._name}/{new_instance_id()}")
        return ControllerLog(ports.bus, name, owner, ports.recorder, self.answered)

    def _lose(self, lost: ControllerLog) -> None:
        """Somebody took one of our logs over: they answer for it from here on."""
        self._adopted.pop(lost.name, None)
        self.lost(lost.name)
        self._tasks.start(self._after_loss(lost), "after-loss")

    async def _after_loss(self, lost: ControllerLog) -> None:
        await lost.aclose()
        if self._own is not None and self._own.log is lost:
            self._own = None
            await self._try(self._open_own)

    # -- looking around -----------------------------------------------------------------------------------------------

    async def _go_on(self) -> None:
        while True:
            await self._ports.clock.sleep(self._lease_s / 3)
            await self._try(self._look)

    async def _try(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except UpwhiskError as error:
            log.warning("logs not looked after", action="hosting.failed", reason=str(error))

    async def _look(self) -> None:
        if self._own is None:
            await self._open_own()
        existing = await self._ports.registry.flags(LOGS)
        await self._check_own(existing)
        await self._renew()
        await self._count_controllers()
        for name in await self._orphans(existing):
            await self._adopt(name)
        for hosted in list(self._adopted.values()):
            if hosted.log.is_idle:
                await self._retire(hosted)

    async def _check_own(self, existing: dict[str, str]) -> None:
        """Others may have taken our log over and ended it while we were cut off."""
        own = self._own
        if own is not None and existing.get(LOGS + own.log.name) != self._name and not own.log.lost:
            log.warning("this log was ended by others", action="hosting.ended", log=own.log.name)
            own.log.lost = True
            self._lose(own.log)
        self._looked_at = self._ports.clock.monotonic()

    async def _renew(self) -> None:
        """Claims that were lost without anybody taking the log: claim again."""
        for hosted in [*self._adopted.values(), *([self._own] if self._own else [])]:
            if hosted.claim is None or hosted.claim.lost:
                name = hosted.log.name
                hosted.claim = await self._ports.registry.claim(LOGS + name, self._owner, ttl_s=self._lease_s)

    @property
    def _owner(self) -> str:
        return self._name if self._own is None else self._own.log.name

    async def _count_controllers(self) -> None:
        registry = self._ports.registry
        if self._membership is None or self._membership.lost:
            self._membership = await registry.claim(CONTROLLERS + self._owner, self._owner, ttl_s=self._lease_s)
        self.controllers_changed(max(1, len(await registry.holders(CONTROLLERS))))

    async def _orphans(self, existing: dict[str, str]) -> list[str]:
        """Logs that nobody hosts, seen so twice: their host may be about to claim again after an outage."""
        held = await self._ports.registry.holders(LOGS)
        mine = {LOGS + each.name for each in self.logs()}
        open_ = [name for name, text in existing.items() if not text.startswith(RETIRED)]
        alone = [name for name in open_ if name not in held and name not in mine]
        self._unreadable = {name: why for name, why in self._unreadable.items() if LOGS + name in alone}
        self._seen = {name: self._seen.get(name, 0) + (_LOOKS_BEFORE_ADOPTION if existing[name] == LEFT else 1) for name in alone}
        orphans = [name.removeprefix(LOGS) for name, times in self._seen.items() if times >= _LOOKS_BEFORE_ADOPTION]
        return [name for name in orphans if name not in self._unreadable]

    async def _adopt(self, name: str) -> None:
        claim = await self._ports.registry.claim(LOGS + name, self._owner, ttl_s=self._lease_s)
        if claim is None:
            return
        adopted = self._make(name)
        try:
            await adopted.start()
        except UpwhiskError as error:
            await adopted.aclose()
            await claim.release()
            if isinstance(error, UnreadableLog):
                log.error("log not taken over", action="hosting.unreadable", log=name, reason=str(error))
                self._unreadable[name] = str(error)
                return
            raise
        self._adopted[name] = _Hosted(adopted, claim)
        adopted.on_lost(lambda: self._lose(adopted))
        log.info("log taken over", action="hosting.adopted", log=name, pending=len(adopted.ledger.pending))
        await self.adopted(adopted)

    async def _retire(self, hosted: _Hosted) -> None:
        """All in it has ended: the log goes."""
        name = hosted.log.name
        registry, is_own = self._ports.registry, self._own is hosted
        self._adopted.pop(name, None)
        await hosted.log.aclose()
        if is_own:
            await registry.put_flag(LOGS + name, None)
            await self._ports.bus.remove_topic(hosted.log.topic)
        else:
            await registry.put_flag(LOGS + name, f"{RETIRED}{self._ports.clock.now_ms()}")
        if hosted.claim is not None:
            await hosted.claim.release()
        log.info("log retired", action="hosting.retired", log=name)

    async def _leave(self, hosted: _Hosted) -> None:
        try:
            async with asyncio.timeout(5.0):
                if hosted.log.is_idle and not hosted.log.lost:
                    await self._retire(hosted)
                    return
                await hosted.log.aclose()
                if not hosted.log.lost:
                    await self._ports.registry.put_flag(LOGS + hosted.log.name, LEFT)
                if hosted.claim is not None:
                    await hosted.claim.release()
        except (TimeoutError, UpwhiskError) as error:
            log.warning("log left behind", action="hosting.left", log=hosted.log.name, reason=str(error))


async def _nobody(adopted: ControllerLog) -> None:
    return None
