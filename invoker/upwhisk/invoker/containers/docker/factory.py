"""The container factory of a Docker engine that runs on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import structlog

from upwhisk.common.errors import ConfinementMissing, ContainerCreateFailed, ContainerError, ImageUnfetched
from upwhisk.common.ids import InstanceId
from upwhisk.common.model.action import BLACKBOX
from upwhisk.common.settings import DockerSettings
from upwhisk.common.spi.containers import (
    Container,
    ContainerFactory,
    ContainerSpec,
    FactoryAbilities,
    Network,
)
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.containers.bounds import GuestBounds, NetworkSettings
from upwhisk.invoker.containers.docker import image_names
from upwhisk.invoker.containers.docker.container import DockerContainer
from upwhisk.invoker.containers.docker.endpoint import endpoint_of
from upwhisk.invoker.containers.docker.engine import Engine
from upwhisk.invoker.containers.docker.engine_watch import EngineWatch
from upwhisk.invoker.containers.docker.guest_config import Command, Surroundings
from upwhisk.invoker.containers.docker.guest_network import may_enter
from upwhisk.invoker.containers.docker.image_names import RuntimeImage
from upwhisk.invoker.containers.docker.instances import remove_dead
from upwhisk.invoker.containers.docker.making import NOT_HERE, ImageGone, Maker, Workshop
from upwhisk.invoker.containers.docker.named_images import NamedImages
from upwhisk.invoker.containers.docker.parent_group import parent_name, remove_parent
from upwhisk.invoker.containers.docker.removals import Removals
from upwhisk.invoker.containers.docker.tls import unusable
from upwhisk.invoker.containers.network import Outbound
from upwhisk.invoker.containers.orphans import InstanceFolder
from upwhisk.invoker.containers.resolvers import resolvers
from upwhisk.runtimes.skeleton import is_skeleton

log = structlog.get_logger(__name__)

_DESTROY_S, _REMOVE_S, _GROUPS_S = 1.5, 2.0, 0.5
_BIRTH_S = 15.0
_TRIAL_MB = 128
_AT_ONCE = 1024
_NO_NETWORKS = (
    "the networks 'api' and 'outbound' and images that actions name are not available: they need root, to reach into the"
    " network namespaces of guests"
)


class DockerFactory(ContainerFactory):
    """Guests as containers of an engine, from images that `upwhisk admin images` made.

    * `run_dir` is shared by all instances of one user on this host; the engine must see it at the same path.
    * `wanted`: the kinds of the manifest, for saying which of them have no image.
    """

    def __init__(
        self,
        instance: InstanceId,
        run_dir: Path,
        settings: DockerSettings,
        bounds: GuestBounds = GuestBounds(),  # noqa: B008
        network: NetworkSettings = NetworkSettings(),  # noqa: B008
        wanted: Sequence[str] = (),
    ) -> None:
        self.instance = instance
        self._run_dir = run_dir
        self._settings = settings
        self._bounds = bounds
        self._network = network
        self._wanted = tuple(wanted)
        self.abilities = FactoryAbilities(False, False, False, frozenset(), frozenset())
        self._folder = InstanceFolder(run_dir, instance)
        self._engine = Engine(endpoint_of(settings, os.environ), settings.deadline_s)
        self._removals = Removals(self._engine)
        pull_s = settings.pull_timeout_s if settings.pull != "never" else 0.0
        self._named = NamedImages(self._engine, pull_s, settings.registries)
        self._outbound = Outbound(instance, network.resolvers or resolvers(), network)
        self._watch = EngineWatch(self._engine)
        self._images: dict[str, RuntimeImage] = {}
        self._containers: dict[str, DockerContainer] = {}
        self._tasks = TaskOwner("docker", bound=_AT_ONCE)
        self._findings: list[str] = []
        self._maker: Maker | None = None

    # -- start and end ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        await self._engine.start()
        try:
            await self.remove_orphans()
            self._folder.claim()
            await self._start()
        except ContainerError as error:  # an engine that dies, hangs or says no after its first answer
            await self.aclose()
            raise await asyncio.to_thread(unusable, self._engine.endpoint, error) from None
        except BaseException:
            await self.aclose()
            raise

    async def _start(self) -> None:
        info = await self._engine.info()
        prefix = self._settings.image_prefix
        self._images, findings = image_names.runtime_images(prefix, await self._engine.images(image_names.KIND))
        if not self._images:
            raise ConfinementMissing(
                (*findings, f"the container engine has no image {prefix}/... of a runtime: {image_names.REMEDY}")
            )
        self._maker = Maker(self._workshop(info))
        networks, entered = {Network.NONE}, await asyncio.to_thread(may_enter)
        await self._try(Network.API if entered else Network.NONE)
        if entered:
            networks.add(Network.API)
            findings = (*findings, *await self._outbound.start())
            if self._outbound.works:
                networks.add(Network.OUTBOUND)
        else:
            findings = (*findings, _NO_NETWORKS)
        self._findings = list(findings)
        self._watch.start()
        self.abilities = FactoryAbilities(
            freeze=True,
            resize=True,
            images=entered,
            networks=frozenset(networks),
            kinds=frozenset(self._images),
            missing={k: image_names.missing_image(prefix, k) for k in self._wanted if k not in self._images},
        )

    def _workshop(self, info: dict[str, object]) -> Workshop:
        options = info.get("SecurityOptions") or []
        remapped = isinstance(options, list) and any("name=userns" in str(option) for option in options)
        around = Surroundings(
            instance=self.instance,
            run_dir=str(self._run_dir),
            machine=platform.machine(),
            bounds=self._bounds,
            resolvers=self._network.resolvers or resolvers(),
            cgroup_parent=parent_name(self.instance, str(info.get("CgroupDriver", ""))),
            runtime=self._settings.runtime,
        )
        return Workshop(
            self._engine, around, self._folder.path, self._removals, self._outbound, self._network.api, remapped
        )

    async def _try(self, network: Network) -> None:
        """One guest, to the moment it has its socket: whether engine, image and this process fit together, and this process has
        the rights for what is offered."""
        kind = next(iter(sorted(self._images)))
        try:
            container = await self.create(ContainerSpec(kind, _TRIAL_MB, network, name="trial"))
        except ContainerError as error:
            raise ConfinementMissing((str(error),)) from None
        assert isinstance(container, DockerContainer)
        try:
            if not await container.wait_born(_BIRTH_S):
                here = NOT_HERE.format(folder=self._run_dir)
                image = self._images[kind].name
                raise ConfinementMissing((f"a guest of the image '{image}' did not come up; {here}",))
        finally:
            await container.destroy()

    async def aclose(self) -> None:
        self._maker = None
        await self._watch.aclose()
        await self._tasks.aclose(grace_s=_DESTROY_S)
        await self._named.aclose()
        containers = tuple(self._containers.values())
        for container in containers:
            container.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DESTROY_S):
                await asyncio.gather(*(container.destroy() for container in containers))
        clean = await self._removals.wait_idle(_REMOVE_S)
        if not clean:
            log.warning("dead containers left to the next start", action="docker.left", count=len(self._removals))
        await self._removals.aclose()
        await self._outbound.aclose()
        self._folder.release(clean=await self._remove_parent() and clean)
        await self._engine.aclose()

    async def _remove_parent(self) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GROUPS_S):
                while not remove_parent(self.instance):  # noqa: ASYNC110 - nobody tells of an empty cgroup
                    await asyncio.sleep(0.02)
                return True
        return False

    async def remove_orphans(self) -> int:
        return await remove_dead(self._engine, self._run_dir)

    def problem(self) -> str | None:
        return self._watch.problem

    def findings(self) -> tuple[str, ...]:
        return (*self._findings, *self._removals.findings())

    # -- containers -----------------------------------------------------------------------------------------------------

    async def prepare(self, spec: ContainerSpec, namespace: str) -> None:
        image = _named(spec)
        if image is not None and self.abilities.images:  # else `create` says what is missing
            try:
                await self._named.fetch(image, namespace)
            except ContainerCreateFailed:
                await self._watch.look_at_once()
                raise

    async def create(self, spec: ContainerSpec) -> Container:
        if self._maker is None:
            raise ContainerCreateFailed("the container factory is closed")
        if self._removals.full:
            raise ContainerCreateFailed("the container engine does not keep up with removing containers")
        if spec.network not in self.abilities.networks and self.abilities.networks:
            raise ContainerCreateFailed(f"the network '{spec.network}' is not available on this node")
        making = self._tasks.start(self._make(self._maker, spec), f"make-{spec.kind}")
        try:
            made: DockerContainer | ContainerError = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(self._unwanted)
            raise
        if isinstance(made, Exception):
            raise made
        return made

    async def _make(self, maker: Maker, spec: ContainerSpec) -> DockerContainer | ContainerError:
        """Goes on to its end whoever gives up meanwhile, see `Maker.make`."""
        try:
            container = await maker.make(spec, await self._command(spec))
        except ImageGone as error:
            image = _named(spec)
            if image is None:
                return error
            self._named.forget(image)
            return ImageUnfetched(image)
        except ContainerCreateFailed as error:
            await self._watch.look_at_once()
            return error
        except ContainerError as error:
            return error
        self._containers[container.id] = container
        container.on_destroyed(self._forget)
        return container

    async def _command(self, spec: ContainerSpec) -> Command:
        name = _named(spec)
        if name is not None:
            if not self.abilities.images:
                raise ContainerCreateFailed(_NO_NETWORKS)
            image = await self._named.have(name)
            writable = self._settings.image_root == "writable"
            return Command(image.name, volumes=image.volumes, writable=writable)
        known = self._images.get(spec.kind)
        if known is None:
            raise ContainerCreateFailed(image_names.missing_image(self._settings.image_prefix, spec.kind))
        return Command(known.name, known.start)

    def _forget(self, container: DockerContainer) -> None:
        self._containers.pop(container.id, None)

    def _unwanted(self, making: asyncio.Task[DockerContainer | ContainerError]) -> None:
        """Whoever wanted it has given up."""
        if making.cancelled() or making.exception() is not None:
            return
        made = making.result()
        if isinstance(made, DockerContainer) and self._maker is not None:  # else closing destroys it
            self._tasks.start(made.destroy(), f"unwanted-{made.id[:12]}")


def _named(spec: ContainerSpec) -> str | None:
    """The image that an action names, if it is not ours."""
    return spec.image if spec.kind == BLACKBOX and spec.image is not None and not is_skeleton(spec.image) else None
