"""Guests in Docker containers for tests that are no coroutines: a loop of its own carries the factory."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from contracts.runtimes.guest import TIMEOUT_S, Answer, SpokenGuest
from sandbox.docker_kit import DockerKit

from upwhisk.common.errors import ContainerGone
from upwhisk.common.spi.containers import Container, ContainerSpec
from upwhisk.invoker.containers.docker.factory import DockerFactory

T = TypeVar("T")
_MAX_ANSWER = 8 << 20
_MEMORY_MB = 256


class DockerRoom:
    """Use as a context. Every guest ends with it."""

    def __init__(self, kit: DockerKit) -> None:
        self._factory: DockerFactory = kit.make()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="docker-room")

    def __enter__(self) -> DockerRoom:
        self._thread.start()
        self.do(self._factory.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._factory.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT_S)
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(3 * TIMEOUT_S)

    def start(self, kind: str) -> DockerGuest:
        return DockerGuest(self, self.do(self._factory.create(ContainerSpec(kind, _MEMORY_MB))))


class DockerGuest(SpokenGuest):
    def __init__(self, room: DockerRoom, container: Container) -> None:
        self._room = room
        self._container = container

    def try_post(self, path: str, body: Any) -> Answer | None:
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        try:
            answer = self._room.do(
                self._container.post(path, data, timeout_s=TIMEOUT_S, max_answer=_MAX_ANSWER)
            )
        except ContainerGone:
            return None
        return Answer(answer.status, answer.body)

    def logs(self) -> tuple[str, str]:
        found = {"stdout": b"", "stderr": b""}
        for chunk in self._room.do(self._read()):
            found[chunk.stream] += chunk.data
        return found["stdout"].decode(), found["stderr"].decode()

    async def _read(self) -> Any:
        return self._container.read_logs()
