"""The container factory of the plain host: Linux namespaces and cgroups, guests forked from zygotes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.common.ids import InstanceId
from upwhisk.common.spi.containers import (
    Container,
    ContainerFactory,
    ContainerSpec,
    FactoryAbilities,
    Network,
)
from upwhisk.invoker.containers import host_check, seccomp
from upwhisk.invoker.containers.bounds import GuestBounds, NetworkSettings
from upwhisk.invoker.containers.cgroup_choice import choose_tree
from upwhisk.invoker.containers.cgroups import Cgroup, CgroupLimits, CgroupTree
from upwhisk.invoker.containers.network import Outbound
from upwhisk.invoker.containers.network_stock import PreparedNetwork
from upwhisk.invoker.containers.orphans import InstanceFolder, dead_instances, remove_groups
from upwhisk.invoker.containers.readiness import open_pipe
from upwhisk.invoker.containers.relay import ApiRelay
from upwhisk.invoker.containers.resolvers import resolvers
from upwhisk.invoker.containers.sandbox import Belongings, ProcessContainer, Streams
from upwhisk.invoker.containers.slots import Slot, Slots
from upwhisk.invoker.containers.spares import Spares
from upwhisk.invoker.containers.zygote_client import Birth, Order, Zygote, ZygoteSettings
from upwhisk.runtimes.installation import RuntimeInstallation

GUEST_API_HOST = "http://127.0.0.1:3233"
"""Where guests find the platform's API; with the network `none` nobody listens there."""
_ZYGOTES = "zygotes"
_CLOSE_S = 5.0
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a guest is put."""

    group: Cgroup
    network: PreparedNetwork | None


class ProcessFactory(ContainerFactory):
    """Guests as process trees of this host.

    * `run_dir` is shared by all instances of one user on this host (see `default_run_dir`); its name must be short.
    * `missing`: kinds that this node cannot run, and why.
    * The first Python among `installations` is loaded at `start`, the others when they are first used.
    """

    def __init__(
        self,
        instance: InstanceId,
        run_dir: Path,
        installations: Sequence[RuntimeInstallation],
        bounds: GuestBounds = GuestBounds(),  # noqa: B008
        network: NetworkSettings = NetworkSettings(),  # noqa: B008
        missing: Mapping[str, str] | None = None,
    ) -> None:
        self.instance = instance
        self._run_dir = run_dir
        self._installations = {one.kind: one for one in installations}
        self._bounds = bounds
        self._network = network
        self._missing = dict(missing or {})
        self.abilities = FactoryAbilities(False, False, False, frozenset(), frozenset(), self._missing)
        self._folder = InstanceFolder(run_dir, instance)
        self._slots = Slots(instance)
        self._tree: CgroupTree | None = None
        self._settings: ZygoteSettings | None = None
        self._outbound: Outbound | None = None
        self._zygotes: dict[str, Zygote] = {}
        self._starting: dict[str, asyncio.Lock] = {}
        self._containers: dict[str, ProcessContainer] = {}
        self._spares = Spares(self._bear)
        self._findings: list[str] = []
        self._open = False

    async def start(self) -> None:
        code = seccomp.guest_filter()
        self._tree = await asyncio.to_thread(choose_tree)
        await self.remove_orphans()
        self._folder.claim()
        try:
            await self._start(code)
        except BaseException:
            await self.aclose()
            raise

    async def _start(self, code: bytes) -> None:
        assert self._tree is not None
        with host_check.as_confinement_missing():
            self._tree.create_parent(self.instance, idle=self._bounds.idle)
        self._open = True
        family = {one.family: one for one in reversed(self._installations.values())}
        launcher = family.get("python") or family.get("native")
        if launcher is None:
            host_check.refuse("no Python interpreter is among the runtimes: zygotes need one")
        names = self._network.resolvers or resolvers()
        self._settings = ZygoteSettings(launcher.interpreter, code, self._folder.mountpoint, names)
        try:
            await self._zygote(launcher.kind)
        except ContainerCreateFailed as error:
            host_check.refuse(str(error), *host_check.namespace_findings() or [host_check.UNKNOWN])
        networks = {Network.NONE, Network.API}
        self._outbound = Outbound(self.instance, names, self._network)
        self._findings = await self._outbound.start()
        if self._outbound.works:
            networks.add(Network.OUTBOUND)
        self.abilities = FactoryAbilities(
            freeze=True,
            resize=True,
            images=False,
            networks=frozenset(networks),
            kinds=frozenset(self._installations),
            missing=self._missing,
        )

    def findings(self) -> tuple[str, ...]:
        return tuple(self._findings)

    async def create(self, spec: ContainerSpec) -> Container:
        if not self._open or self._tree is None:
            raise ContainerCreateFailed("the container factory is closed")
        if spec.network is Network.OUTBOUND and Network.OUTBOUND not in self.abilities.networks:
            raise ContainerCreateFailed("the network 'outbound' is not available on this node")
        container = await self._spares.take(spec) or await self._bear(spec)
        if self._installations[spec.kind].is_forked_ready:
            self._spares.want(spec)
        return container

    async def _bear(self, spec: ContainerSpec) -> ProcessContainer:
        zygote = await self._zygote(spec.kind)
        assert self._tree is not None
        with contextlib.ExitStack() as undo:
            container = await self._steps(spec, zygote, self._tree, undo)
            undo.pop_all()
        return container

    async def _steps(
        self, spec: ContainerSpec, zygote: Zygote, tree: CgroupTree, undo: contextlib.ExitStack
    ) -> ProcessContainer:
        slot = self._slots.take()
        undo.callback(slot.release)
        network = await self._prepare(spec, undo)
        group = self._group(slot, spec, tree, undo)
        birth, streams = await self._fork(spec, slot, zygote, _Place(group, network), undo)
        relay = None
        if birth.relay is not None:
            relay = ApiRelay(birth.relay, self._network.api)
            await relay.start()

        def release() -> None:
            slot.release()
            if network is not None:
                network.release()

        belongings = Belongings(group, birth.pidfd, self._socket(slot), streams, relay, release)
        container = ProcessContainer(slot.name, spec, belongings, self._forget)
        container.watch_exit()
        self._containers[container.id] = container
        return container

    def _group(self, slot: Slot, spec: ContainerSpec, tree: CgroupTree, undo: contextlib.ExitStack) -> Cgroup:
        limits = CgroupLimits(spec.memory_mb, self._bounds.processes, self._bounds.cores)
        try:
            group = tree.group(slot.name, limits)
        except OSError as error:
            raise ContainerCreateFailed(f"no cgroup for another guest: {error}") from None
        undo.callback(group.remove)
        undo.callback(group.kill)
        return group

    async def _fork(
        self, spec: ContainerSpec, slot: Slot, zygote: Zygote, place: _Place, undo: contextlib.ExitStack
    ) -> tuple[Birth, Streams]:
        """The guest, and the ends of its streams that stay here."""
        with contextlib.ExitStack() as lent:
            output, writes_output = _pipe(undo, lent)
            error, writes_error = _pipe(undo, lent)
            entrance = place.group.entrance()
            lent.callback(entrance.close)
            text = self._order(spec, slot.uid, bool(entrance.tasks))
            network = place.network.descriptor if place.network else -1
            birth = await zygote.fork(
                Order(text, self._socket(slot), writes_output, writes_error, entrance, network)
            )
            undo.callback(birth.close)
        return birth, (("stdout", output), ("stderr", error))

    def _socket(self, slot: Slot) -> Path:
        return self._folder.path / slot.name

    def _forget(self, id: str) -> None:
        self._containers.pop(id, None)

    async def _prepare(self, spec: ContainerSpec, undo: contextlib.ExitStack) -> PreparedNetwork | None:
        if spec.network is not Network.OUTBOUND or self._outbound is None:
            return None
        network = await self._outbound.take()
        undo.callback(network.release)
        return network

    def _order(self, spec: ContainerSpec, uid: int, joins: bool) -> dict[str, object]:
        environment = {**_ENVIRONMENT, **dict(spec.environment), "__OW_API_HOST": GUEST_API_HOST}
        return {
            "network": spec.network.value,
            "separate_cgroup_view": True,
            "scratch_mb": self._bounds.scratch_mb,
            "scratch_files": self._bounds.scratch_files,
            "open_files": self._bounds.open_files,
            "idle": self._bounds.idle,
            "uid": uid,
            "hostname": "guest",
            "environment": environment,
        }

    async def _zygote(self, kind: str) -> Zygote:
        zygote = self._zygotes.get(kind)
        if zygote is not None:
            return zygote
        installation = self._installations.get(kind)
        if installation is None:
            why = self._missing.get(kind, "no such runtime")
            raise ContainerCreateFailed(f"this node cannot run the kind '{kind}': {why}")
        async with self._starting.setdefault(kind, asyncio.Lock()):
            if kind not in self._zygotes:
                self._zygotes[kind] = await self._start_zygote(installation)
            return self._zygotes[kind]

    async def _start_zygote(self, installation: RuntimeInstallation) -> Zygote:
        assert self._tree is not None
        assert self._settings is not None
        zygote = Zygote(installation, self._settings, self._zygote_died)
        entrance = self._tree.group(_ZYGOTES).entrance()
        try:
            await zygote.start(entrance)
        finally:
            entrance.close()
        if not self._open:
            zygote.close()
            raise ContainerCreateFailed("the container factory is closed")
        return zygote

    def _zygote_died(self, zygote: Zygote) -> None:
        """Its guests die with it and are reported by their own exits; the next create starts another."""
        if self._zygotes.get(zygote.installation.kind) is zygote:
            del self._zygotes[zygote.installation.kind]

    async def remove_orphans(self) -> int:
        return await asyncio.to_thread(self._remove_orphans)

    def _remove_orphans(self) -> int:
        tree = self._tree or choose_tree()
        count = 0
        with dead_instances(self._run_dir) as names:
            for name in names:
                count += remove_groups(tree, name)
                Outbound.clean(name)
        return count

    async def aclose(self) -> None:
        self._open = False
        await self._spares.aclose()
        for container in tuple(self._containers.values()):
            container.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.gather(*(c.destroy() for c in tuple(self._containers.values())))
        for zygote in self._zygotes.values():
            zygote.close()
        self._zygotes.clear()
        if self._outbound is not None:
            await self._outbound.aclose()
            self._outbound = None
        if self._tree is not None:
            await asyncio.to_thread(remove_groups, self._tree, self.instance)
        self._folder.release()


def _pipe(kept: contextlib.ExitStack, lent: contextlib.ExitStack) -> tuple[int, int]:
    """(its reading end, which `kept` closes; its writing end, which `lent` closes)."""
    try:
        reading, writing = open_pipe()
    except OSError as error:
        raise ContainerCreateFailed(f"no pipe for another guest: {error}") from None
    kept.callback(os.close, reading)
    lent.callback(os.close, writing)
    return reading, writing
