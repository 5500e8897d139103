"""The engine's API: the calls that a node needs, each with a deadline, with errors of our own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import aiohttp

from upwhisk.common.errors import ContainerError, StartupError
from upwhisk.common.resource import Resource
from upwhisk.invoker.containers.docker.causes import cause_of
from upwhisk.invoker.containers.docker.endpoint import Endpoint
from upwhisk.invoker.containers.docker.tls import tls_context, unusable

if TYPE_CHECKING:
    from aiodocker import Docker
    from aiodocker.stream import Stream

QUICK_S = 5.0
RESTART_S = 3.0
_RETRY_S = 0.1
REMOVE_S = 20.0
"""Killing and removing take long on a busy engine; whoever waits for a removal has a deadline of their own."""
ABSENT = 404
_CLIENTS_OWN = 600
"""The client gives errors of its own a status beyond HTTP's."""


class EngineAway(ContainerError):
    """No answer: the engine is not there, or was too slow. What was asked for may have happened, unless it was `unsent`:
    there was nobody to take the call."""

    def __init__(self, text: str, *, unsent: bool = False) -> None:
        self.unsent = unsent
        super().__init__(text)


class EngineRefused(ContainerError):
    """The engine said no. `status` is HTTP's, 0 inside a stream."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(text)


class Engine(Resource):
    """One engine. Calls fail with `EngineAway` while it is down and work again when it is back."""

    def __init__(self, endpoint: Endpoint, deadline_s: float) -> None:
        self.endpoint = endpoint
        self._deadline_s = deadline_s
        self._connector: aiohttp.BaseConnector | None = None
        self._client: Docker | None = None

    async def start(self) -> None:
        """`StartupError` if it cannot be spoken to."""
        try:
            import aiodocker
        except ImportError:
            raise StartupError("the package 'aiodocker' is missing: pip install 'upwhisk[distributed]'") from None
        except RuntimeError as error:  # it looks for a home folder
            raise StartupError(f"the package 'aiodocker' cannot be loaded: {error} Set HOME") from None
        # No limit: each image with output of its own holds a connection for as long as it lives.
        if self.endpoint.is_tls:
            self._connector = aiohttp.TCPConnector(ssl=tls_context(self.endpoint), limit=0)
        else:
            self._connector = aiohttp.UnixConnector(self.endpoint.url.removeprefix("unix://"), limit=0)
        url = self.endpoint.url if self.endpoint.is_tls else "unix://localhost"
        self._client = aiodocker.Docker(url, connector=self._connector)
        try:
            await self.info()
        except ContainerError as error:
            await self.aclose()
            raise await asyncio.to_thread(unusable, self.endpoint, error) from None

    async def aclose(self) -> None:
        client, self._client = self._client, None
        connector, self._connector = self._connector, None
        if client is not None:
            await client.close()
        if connector is not None:
            await connector.close()

    @property
    def client(self) -> Docker:
        if self._client is None:
            raise EngineAway("the connection to the container engine is closed")
        return self._client

    # -- the engine and its images ----------------------------------------------------------------------------------

    async def ping(self, deadline_s: float = QUICK_S) -> None:
        async with _call("ping", deadline_s):
            await self.client._query_json("version")

    async def info(self) -> dict[str, Any]:
        async with _call("info", QUICK_S):
            return dict(await self.client.system.info())

    async def images(self, label: str) -> list[dict[str, Any]]:
        async with _call("images", QUICK_S):
            return await self.client.images.list(filters={"label": [label]})

    async def image(self, name: str) -> dict[str, Any] | None:
        """None if the engine does not have it."""
        try:
            async with _call(f"inspect {name}", QUICK_S):
                return dict(await self.client.images.inspect(name))
        except EngineRefused as error:
            if error.status == ABSENT:
                return None
            raise

    async def pull(self, name: str, deadline_s: float) -> None:
        async with _call(f"pull {name}", deadline_s):
            async for _ in self.client.images.pull(name, stream=True):
                pass  # the engine's progress; its errors are raised

    # -- containers ---------------------------------------------------------------------------------------------------

    async def create(self, name: str, config: dict[str, Any]) -> str:
        """An engine that is just being started again is waited for, shortly."""
        until = time.monotonic() + min(RESTART_S, self._deadline_s)
        while True:
            try:
                return await self._create(name, config)
            except EngineAway as error:
                if not error.unsent or time.monotonic() > until:
                    raise
            await asyncio.sleep(_RETRY_S)

    async def _create(self, name: str, config: dict[str, Any]) -> str:
        async with _call(f"create {name}", self._deadline_s):
            container = await self.client.containers.create(config, name=name)
            return str(container.id)

    async def start_container(self, id: str) -> None:
        async with _call("start", self._deadline_s):
            await self.client.containers.container(id).start()

    async def inspect(self, id: str) -> dict[str, Any]:
        async with _call("inspect", QUICK_S):
            return await self.client.containers.container(id).show()

    async def containers(self, labels: list[str]) -> list[dict[str, Any]]:
        """Also those that do not run."""
        async with _call("containers", QUICK_S):
            found = await self.client.containers.list(all="true", filters=json.dumps({"label": labels}))
            return [dict(container._container) for container in found]

    async def kill(self, id: str) -> None:
        async with _call("kill", QUICK_S):
            await self.client.containers.container(id).kill()

    async def remove(self, id: str) -> None:
        """Kill and remove; nothing happens if it is gone. Raises when that is not certain yet."""
        try:
            async with _call("remove", REMOVE_S):
                await self.client.containers.container(id).delete(force=True, v=True)
        except EngineRefused as error:
            if error.status != ABSENT:
                raise

    async def pause(self, id: str) -> None:
        await self._switch(id, "pause", "already paused")

    async def unpause(self, id: str) -> None:
        await self._switch(id, "unpause", "not paused")

    async def _switch(self, id: str, verb: str, done: str) -> None:
        try:
            async with _call(verb, QUICK_S):
                await getattr(self.client.containers.container(id), verb)()
        except EngineRefused as error:
            if done not in str(error):
                raise

    async def resize(self, id: str, memory_bytes: int) -> None:
        limits = {"Memory": memory_bytes, "MemorySwap": memory_bytes}
        async with _call("update", QUICK_S):
            await self.client._query_json(f"containers/{id}/update", "POST", data=limits)

    async def stats(self, id: str) -> dict[str, Any]:
        """Slow: the engine samples before it answers."""
        async with _call("stats", QUICK_S):
            found = await self.client.containers.container(id).stats(stream=False)
            return dict(found[0])

    async def attach(self, id: str) -> Stream:
        """The output of a container from now on, both streams."""
        stream = self.client.containers.container(id).attach(stdout=True, stderr=True, logs=False)
        async with _call("attach", QUICK_S):
            await stream._init()
        return stream


@contextlib.asynccontextmanager
async def _call(what: str, deadline_s: float) -> AsyncIterator[None]:
    from aiodocker.exceptions import DockerError

    try:
        async with asyncio.timeout(deadline_s):
            yield
    except TimeoutError:
        raise EngineAway(f"the container engine did not answer '{what}' within {deadline_s:g} s") from None
    except DockerError as error:
        if error.status < _CLIENTS_OWN:
            raise EngineRefused(error.status, f"{what}: {error.message}") from None
        unsent = isinstance(error.__context__, aiohttp.ClientConnectorError)
        raise EngineAway(f"the container engine does not answer '{what}': {cause_of(error)}", unsent=unsent) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise EngineAway(f"the container engine does not answer '{what}': {cause_of(error)}") from None
