"""Images that actions name: whether the engine has them, and having those fetched that it has not."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from upwhisk.common.errors import ContainerCreateFailed, ImageMissing, ImageUnfetched
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.containers.docker import registries
from upwhisk.invoker.containers.docker.engine import Engine, EngineAway, EngineRefused
from upwhisk.invoker.containers.docker.fetching import Fetches
from upwhisk.invoker.containers.docker.guest_config import volumes_of

log = structlog.get_logger(__name__)

_KNOWN = 256
_IN_LINE, _IN_ALL = 64, 4096
"""So many images of one namespace, and of all, may be waited for."""


@dataclass(frozen=True, slots=True)
class NamedImage:
    name: str
    volumes: tuple[str, ...]


class NamedImages:
    """`pull_s` 0: never fetch. `registries`: where images may come from; an action may be older than that."""

    def __init__(self, engine: Engine, pull_s: float, registries: Sequence[str] = ()) -> None:
        self._engine = engine
        self._pull_s = pull_s
        self._registries = registries
        self._known: OrderedDict[str, NamedImage] = OrderedDict()
        self._getting: dict[tuple[str, str], asyncio.Task[NamedImage | Exception]] = {}
        self._tasks = TaskOwner("docker.images", bound=_IN_ALL)
        self._fetches = Fetches(engine, pull_s)

    async def have(self, name: str) -> NamedImage:
        """For a container that is made now: `ImageUnfetched` if it has to be fetched first, `ImageMissing` if it never can be,
        `ContainerCreateFailed` if the engine does not answer."""
        self._refuse(name)
        known = self._recall(name)
        if known is not None:
            return known
        try:
            image = await self._engine.image(name)
        except EngineRefused as error:
            raise self._missing(name, str(error)) from None
        except EngineAway as error:
            raise ContainerCreateFailed(str(error)) from None
        if image is None:
            raise ImageUnfetched(name)
        return self._keep(NamedImage(name, volumes_of(image)))

    async def fetch(self, name: str, namespace: str) -> NamedImage:
        """`ImageMissing` if it cannot be had, `ContainerCreateFailed` if the engine does not answer. Within `pull_s`, and
        some seconds for an engine that does not answer."""
        self._refuse(name)
        known = self._recall(name)
        if known is not None:
            return known
        task = self._getting.get((namespace, name)) or self._ask(name, namespace)
        found = await asyncio.shield(task)
        if isinstance(found, Exception):
            raise found
        return self._keep(found)

    def forget(self, name: str) -> None:
        """The engine said that it has it no more."""
        self._known.pop(name, None)

    def _refuse(self, name: str) -> None:
        refused = registries.refusal(name, self._registries)
        if refused is not None:
            raise self._missing(name, refused)

    def _recall(self, name: str) -> NamedImage | None:
        known = self._known.get(name)
        if known is not None:
            self._known.move_to_end(name)
        return known

    def _keep(self, image: NamedImage) -> NamedImage:
        self._known[image.name] = image
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return image

    def _ask(self, name: str, namespace: str) -> asyncio.Task[NamedImage | Exception]:
        if sum(1 for of, _ in self._getting if of == namespace) >= _IN_LINE or len(self._tasks) >= _IN_ALL:
            raise ContainerCreateFailed(f"too many images are waited for already to fetch '{name}', too")
        task = self._getting[namespace, name] = self._tasks.start(self._get(name, namespace), f"image-{name}")
        task.add_done_callback(lambda _: self._getting.pop((namespace, name), None))
        return task

    async def _get(self, name: str, namespace: str) -> NamedImage | Exception:
        try:
            image = await self._engine.image(name)
            if image is None and self._pull_s:
                image = await self._fetches.fetch(name, namespace)
        except EngineRefused as error:
            return self._missing(name, str(error))
        except EngineAway as error:
            return ContainerCreateFailed(str(error))
        if image is None:
            return self._missing(name, "the engine does not have it")
        return NamedImage(name, volumes_of(image))

    def _missing(self, name: str, why: str) -> ImageMissing:
        log.warning("image missing", action="docker.image_missing", image=name, reason=why)
        return ImageMissing(name)

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
        await self._fetches.aclose()
