"""Makes one container: the engine creates and starts it, everything else is ours."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from dataclasses import dataclass
from pathlib import Path

import structlog

from upwhisk.common.errors import ContainerCreateFailed, ContainerError
from upwhisk.common.spi.containers import ContainerSpec, Network
from upwhisk.invoker.containers.cgroup_lookup import group_of, is_writable, mounts
from upwhisk.invoker.containers.cgroups import Cgroup, Mount
from upwhisk.invoker.containers.docker.attached_logs import AttachedLogs
from upwhisk.invoker.containers.docker.birth import Birthplace
from upwhisk.invoker.containers.docker.confinement import weaknesses
from upwhisk.invoker.containers.docker.container import Belongings, DockerContainer
from upwhisk.invoker.containers.docker.controls import Controls
from upwhisk.invoker.containers.docker.engine import Engine, EngineAway, EngineRefused
from upwhisk.invoker.containers.docker.guest_config import Command, Surroundings, container_config
from upwhisk.invoker.containers.docker.guest_network import GuestNetwork
from upwhisk.invoker.containers.docker.parent_group import weigh_parent
from upwhisk.invoker.containers.docker.removals import Removals
from upwhisk.invoker.containers.docker.rights import NO_NICE, NO_PTRACE
from upwhisk.invoker.containers.exit_watch import ExitWatch
from upwhisk.invoker.containers.network import Outbound
from upwhisk.invoker.containers.proxy_client import Connect
from upwhisk.invoker.containers.readiness import PipeLogs
from upwhisk.invoker.containers.relay import ApiRelay
from upwhisk.invoker.containers.slots import Slot, Slots

log = structlog.get_logger(__name__)

COMMON_UID = 1000
_CONFINED_S = 2.0
_BAD_COMMAND = (400, 404)
NOT_HERE = (
    "the engine's containers are no processes that this process can see: it must run on this machine, and a platform in a"
    " container needs the host's process ids (--pid host) and {folder} at the same path"
)


class ImageGone(ContainerCreateFailed):
    """The engine does not have the image (any more)."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What all containers of a factory are made with. `common_uid`: guests cannot have an id each."""

    engine: Engine
    around: Surroundings
    folder: Path
    removals: Removals
    outbound: Outbound
    api: str
    common_uid: bool = False


@dataclass(slots=True)
class _Draft:
    """A container that is being made. `close` gives back what is ours of it."""

    name: str
    slot: Slot
    place: Birthplace | None
    logs: AttachedLogs | None = None
    exit: ExitWatch | None = None
    network: GuestNetwork | None = None
    relay: ApiRelay | None = None

    async def close(self) -> None:
        if self.relay is not None:
            self.relay.close()
        if self.network is not None:
            self.network.close()
        if self.exit is not None:
            self.exit.close()
        if self.logs is not None:
            await self.logs.close()
        if self.place is not None:
            self.place.close()


class Maker:
    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._slots = Slots(shop.around.instance)
        self._numbers = itertools.count(1)
        self._mounts = mounts()
        self._weighed = False

    async def make(self, spec: ContainerSpec, command: Command) -> DockerContainer:
        """`ContainerCreateFailed`, with nothing left but what the engine is still to remove. Not to be cancelled: what
        the engine is doing then would be nobody's."""
        shop, slot = self._shop, self._slots.take()
        uid = COMMON_UID if shop.common_uid or not slot.uid else slot.uid
        draft = _Draft(f"upwhisk-{shop.around.instance}-{next(self._numbers)}", slot, None)
        try:
            if command.argv:
                draft.place = Birthplace(shop.folder, slot.name, uid)
                draft.place.make()
                command = _in_folder(command, draft.place.folder)
        except OSError as error:
            slot.release()
            raise ContainerCreateFailed(f"no folder for another guest: {error}") from None
        try:
            return await self._make(spec, command, draft, uid)
        except BaseException as error:
            await draft.close()
            certain = isinstance(error, ContainerError) and not isinstance(error, EngineAway)
            shop.removals.add(draft.name, slot.release, certain=certain)
            if isinstance(error, ContainerCreateFailed) or not isinstance(error, ContainerError | OSError):
                raise
            raise ContainerCreateFailed(f"no container of the image '{command.image}': {error}") from None

    async def _make(self, spec: ContainerSpec, command: Command, draft: _Draft, uid: int) -> DockerContainer:
        engine, around = self._shop.engine, self._shop.around
        try:
            container = await engine.create(draft.name, container_config(around, spec, command, uid))
        except EngineRefused as error:
            if "no such image" in str(error).lower():
                raise ImageGone(str(error)) from None
            raise
        if draft.place is None:
            draft.logs = AttachedLogs(engine, container)
            await draft.logs.attach()
        pid = await self._started(container, command)
        group = None
        if pid:
            draft.exit = _watch(pid, container, self._shop.folder)
            group = _group(pid, self._mounts)
            await _confined(pid, may_be_root=command.writable)
            if around.cgroup_parent and group is not None and not self._weighed:
                weigh_parent(group, around.instance, idle=around.bounds.idle)
                self._weighed = True
            if around.bounds.idle:
                _step_back(pid)
            await self._connect(spec, draft, pid)
        draft.exit = draft.exit or ExitWatch(-1)
        writable = group is not None and is_writable(group)
        return self._finished(container, spec, draft, Controls(engine, container, group, writable=writable))

    async def _started(self, id: str, command: Command) -> int:
        """The id of its first process; 0 if it ended at once, which is the business of whoever made the image."""
        engine, ours = self._shop.engine, bool(command.argv)
        try:
            await engine.start_container(id)
        except EngineRefused as error:
            if ours or error.status not in _BAD_COMMAND:
                raise
            log.warning("an image does not start", action="docker.bad_image", image=command.image, reason=str(error))
            return 0
        state = (await engine.inspect(id))["State"]
        if not state.get("Running") and ours:
            raise ContainerCreateFailed(
                f"the image '{command.image}' ended at once, exit code {state.get('ExitCode')}"
            )
        return int(state.get("Pid", 0)) if state.get("Running") else 0

    async def _connect(self, spec: ContainerSpec, draft: _Draft, pid: int) -> None:
        if draft.place is not None and spec.network is Network.NONE:
            return
        try:
            draft.network = GuestNetwork(pid)
        except (FileNotFoundError, ProcessLookupError):
            return  # it has ended
        except PermissionError:
            raise ContainerCreateFailed(NO_PTRACE) from None
        if spec.network is Network.OUTBOUND:
            await self._shop.outbound.plug(draft.slot.name, draft.network.descriptor)
        if spec.network is not Network.NONE:
            draft.relay = ApiRelay(draft.network.relay_listener(), self._shop.api)
            await draft.relay.start()

    def _finished(self, id: str, spec: ContainerSpec, draft: _Draft, controls: Controls) -> DockerContainer:
        assert draft.exit is not None
        removals, name, slot, watch = self._shop.removals, draft.name, draft.slot, draft.exit
        logs = draft.logs if draft.place is None else PipeLogs(draft.place.take_streams())
        assert logs is not None
        own = Belongings(
            exit=watch,
            controls=controls,
            logs=logs,
            birthplace=draft.place,
            network=draft.network,
            relay=draft.relay,
            remove=lambda: removals.add(name, slot.release),
        )
        return DockerContainer(id, spec, own, _connect_to(draft, watch), self._shop.engine)


def _group(pid: int, where: list[Mount]) -> Cgroup | None:
    try:
        return group_of(pid, where)
    except OSError:
        return None  # it has ended


def _in_folder(command: Command, folder: Path) -> Command:
    return Command(command.image, command.argv, str(folder), command.volumes, command.writable)


def _connect_to(draft: _Draft, watch: ExitWatch) -> Connect:
    if draft.place is not None:
        address = str(draft.place.address)
        return lambda protocol: asyncio.get_running_loop().create_unix_connection(protocol, address)
    if draft.network is not None:
        return draft.network.connect_when(lambda: not watch.seen)

    async def refuse(_: object) -> object:
        raise ConnectionRefusedError

    return refuse


def _watch(pid: int, id: str, folder: Path) -> ExitWatch:
    try:
        watch = ExitWatch(os.pidfd_open(pid))
    except ProcessLookupError:
        return ExitWatch(-1)
    except OSError:
        raise ContainerCreateFailed(NOT_HERE.format(folder=folder.parent)) from None
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        text = id  # it has ended meanwhile
    if id not in text:  # a process of ours by the same number
        watch.close()
        raise ContainerCreateFailed(NOT_HERE.format(folder=folder.parent))
    watch.start()
    return watch


async def _confined(pid: int, *, may_be_root: bool) -> None:
    """Wait until its confinement is complete: the engine answers a moment before."""
    deadline, pause_s = time.monotonic() + _CONFINED_S, 0.0005
    while True:
        try:
            found = _weaknesses(pid, may_be_root=may_be_root)
        except OSError:
            return  # it has ended
        if not found:
            return
        if time.monotonic() > deadline:
            raise ContainerCreateFailed(f"the engine did not confine a guest: {', '.join(found)}")
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.02)


def _weaknesses(pid: int, *, may_be_root: bool) -> list[str]:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return [] if "\nState:\tZ" in status else weaknesses(status, may_be_root=may_be_root)


def _step_back(pid: int) -> None:
    """Only what the node's owner leaves over, as the weight of the group says too."""
    try:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                os.sched_setscheduler(int(thread), os.SCHED_IDLE, os.sched_param(0))
    except PermissionError:
        raise ContainerCreateFailed(NO_NICE) from None
