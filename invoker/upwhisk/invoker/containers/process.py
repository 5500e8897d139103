"""The container factory of the plain host: Linux namespaces and cgroups, guests forked from zygotes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping, Sequence
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
from upwhisk.invoker.containers.cgroups import CgroupLimits, CgroupTree
from upwhisk.invoker.containers.network import Outbound
from upwhisk.invoker.containers.network_stock import PreparedNetwork
from upwhisk.invoker.containers.orphans import InstanceFolder, dead_instances, remove_groups
from upwhisk.invoker.containers.readiness import open_pipe
from upwhisk.invoker.containers.relay import ApiRelay
from upwhisk.invoker.containers.resolvers import resolvers
from upwhisk.invoker.containers.sandbox import Belongings, ProcessContainer
from upwhisk.invoker.containers.slots import Slots
from upwhisk.invoker.containers.zygote_client import Order, Zygote, ZygoteSettings
from upwhisk.runtimes.installation import RuntimeInstallation

GUEST_API_HOST = "http://127.0.0.1:3233"
"""Where guests find the platform's API; with the network `none` nobody listens there."""
_ZYGOTES = "zygotes"
_CLOSE_S = 5.0
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8"}  # noqa: S108


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
        zygote = await self._zygote(spec.kind)
        with contextlib.ExitStack() as undo:
            container = await self._create(spec, zygote, self._tree, undo)
            undo.pop_all()
        return container

    async def _create(
        self, spec: ContainerSpec, zygote: Zygote, tree: CgroupTree, undo: contextlib.ExitStack
    ) -> ProcessContainer:
        slot = self._slots.take()
        undo.callback(slot.release)
        bounds = self._bounds
        try:
            group = tree.group(slot.name, CgroupLimits(spec.memory_mb, bounds.processes, bounds.cores))
            undo.callback(group.remove)
            undo.callback(group.kill)
            streams = [open_pipe(), open_pipe()]
        except OSError as error:
            raise ContainerCreateFailed(f"no cgroup or pipe for another guest: {error}") from None
        for reading, _ in streams:
            undo.callback(os.close, reading)
        path = self._folder.path / slot.name
        with contextlib.ExitStack() as lent:
            for _, writing in streams:
                lent.callback(os.close, writing)
            network = await self._prepare(spec, undo)
            entrance = group.entrance()
            lent.callback(entrance.close)
            text = self._order(spec, slot.uid, bool(entrance.tasks))
            order = Order(
                text, path, streams[0][1], streams[1][1], entrance, network.descriptor if network else -1
            )
            birth = await zygote.fork(order)
            undo.callback(birth.close)
        relay = None
        if birth.relay is not None:
            relay = ApiRelay(birth.relay, self._network.api)
            await relay.start()

        def release() -> None:
            slot.release()
            if network is not None:
                network.release()

        pipes = (("stdout", streams[0][0]), ("stderr", streams[1][0]))
        belongings = Belongings(group, birth.pidfd, path, pipes, relay, release)  # type: ignore[arg-type]
        container = ProcessContainer(slot.name, spec, belongings, self._forget)
        container.watch_exit()
        self._containers[container.id] = container
        return container

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


def default_run_dir() -> Path:
    """`/run/upwhisk` for root, else below `XDG_RUNTIME_DIR`, else in the temporary folder."""
    uid = os.geteuid()
    if uid == 0:
        return Path("/run/upwhisk")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return Path(runtime) / "upwhisk" if runtime else Path(f"/tmp/upwhisk-{uid}")  # noqa: S108
