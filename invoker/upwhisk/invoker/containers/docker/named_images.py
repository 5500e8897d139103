"""Images that actions name: whether the engine has them, and fetching those that it has not."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import structlog

from upwhisk.common.errors import ContainerCreateFailed, ImageMissing
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.containers.docker.engine import Engine, EngineAway, EngineRefused
from upwhisk.invoker.containers.docker.guest_config import volumes_of

log = structlog.get_logger(__name__)

_KNOWN = 256
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class NamedImage:
    name: str
    volumes: tuple[str, ...]


class NamedImages:
    """`pull_s` 0: never fetch. Each image is fetched once at a time, whoever waits for it."""

    def __init__(self, engine: Engine, pull_s: float) -> None:
        self._engine = engine
        self._pull_s = pull_s
        self._known: OrderedDict[str, NamedImage] = OrderedDict()
        self._getting: dict[str, asyncio.Task[NamedImage | Exception]] = {}
        self._tasks = TaskOwner("docker.images", bound=1024)
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def get(self, name: str) -> NamedImage:
        """`ImageMissing` if it cannot be had, `ContainerCreateFailed` if the engine does not answer."""
        known = self._known.get(name)
        if known is not None:
            self._known.move_to_end(name)
            return known
        task = self._getting.get(name)
        if task is None:
            task = self._getting[name] = self._tasks.start(self._get(name), f"image-{name}")
            task.add_done_callback(lambda _: self._getting.pop(name, None))
        found = await asyncio.shield(task)
        if isinstance(found, Exception):
            raise found
        self._known[name] = found
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return found

    def forget(self, name: str) -> None:
        """The engine said that it has it no more."""
        self._known.pop(name, None)

    async def _get(self, name: str) -> NamedImage | Exception:
        try:
            image = await self._engine.image(name)
            if image is None and self._pull_s:
                image = await self._pulled(name)
        except EngineRefused as error:
            return self._missing(name, str(error))
        except EngineAway as error:
            return ContainerCreateFailed(str(error))
        if image is None:
            return self._missing(name, "the engine does not have it")
        return NamedImage(name, volumes_of(image))

    async def _pulled(self, name: str) -> dict[str, Any] | None:
        async with self._at_once:
            log.info("fetching an image", action="docker.pull", image=name)
            try:
                await self._engine.pull(name, self._pull_s)
            except EngineAway as error:
                if await self._engine.image(name) is None:  # the engine is there: it is the registry that is not
                    raise EngineRefused(0, str(error)) from None
        return await self._engine.image(name)

    def _missing(self, name: str, why: str) -> ImageMissing:
        log.warning("image missing", action="docker.image_missing", image=name, reason=why)
        return ImageMissing(name)

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)
