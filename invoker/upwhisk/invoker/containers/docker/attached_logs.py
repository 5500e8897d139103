"""Output of an image that is not ours, as the engine passes it on.

It takes a way of its own beside the answers, through the engine, so it may come a little after an answer: `settle` waits
for it, shortly. While the engine is down, what such a guest writes is lost; the stream is taken up again afterwards.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import structlog

from upwhisk.common.errors import ContainerError
from upwhisk.common.spi.containers import SENTINEL, LogChunk, Stream
from upwhisk.common.tasks import TaskOwner
from upwhisk.invoker.containers.docker.engine import ABSENT, Engine, EngineRefused

if TYPE_CHECKING:
    from aiodocker.stream import Stream as Attachment

log = structlog.get_logger(__name__)

_MOST = 1 << 20
_QUIET_S, _SETTLE_S, _SENTINEL_S = 0.005, 0.05, 0.5
_FIRST_S, _LONGEST_S = 0.1, 5.0
_NAMES: dict[int, Stream] = {1: "stdout", 2: "stderr"}
_END = SENTINEL.encode()


class AttachedLogs:
    """`attach` before the container starts; `close` ends it."""

    def __init__(self, engine: Engine, id: str) -> None:
        self._engine = engine
        self._id = id
        self._chunks: list[LogChunk] = []
        self._size = 0
        self._ends: set[str] = set()
        self._tails: dict[str, bytes] = {}
        self._has_ends = False
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._notify: Callable[[], None] | None = None
        self._tasks = TaskOwner("docker.logs", bound=2)

    async def attach(self) -> None:
        stream = await self._engine.attach(self._id)
        self._tasks.start(self._follow(stream), f"logs-{self._id[:12]}")

    async def _follow(self, stream: Attachment) -> None:
        pause_s = _FIRST_S
        while True:
            if await self._drain(stream):
                pause_s = _FIRST_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_S)
            try:
                if not (await self._engine.inspect(self._id))["State"]["Running"]:
                    return
                stream = await self._engine.attach(self._id)
            except ContainerError as error:
                if isinstance(error, EngineRefused) and error.status == ABSENT:
                    return
                log.warning("output cut off", action="docker.logs_cut", container=self._id[:12], reason=str(error))

    async def _drain(self, stream: Attachment) -> bool:
        """Read until the stream ends: with the container, or with the engine. True if anything came."""
        came = False
        try:
            while (message := await stream.read_out()) is not None:
                came = True
                await self._room.wait()
                self._keep(_NAMES.get(message.stream, "stdout"), message.data)
        except OSError:
            pass
        finally:
            await stream.close()
        return came

    def _keep(self, name: Stream, data: bytes) -> None:
        self._chunks.append(LogChunk(name, data, time.time_ns()))
        self._size += len(data)
        if self._size >= _MOST:
            self._room.clear()  # nothing more is read: the guest waits, as before a full pipe
        tail = self._tails.get(name, b"") + data  # a mark may come in two pieces
        self._tails[name] = tail[1 - len(_END) :]
        if _END in tail:
            self._ends.add(name)
            self._has_ends = True
        self._arrived.set()
        if self._notify is not None:
            self._notify()

    def read(self) -> Sequence[LogChunk]:
        chunks, self._chunks, self._size = self._chunks, [], 0
        self._ends.clear()
        self._room.set()
        return chunks

    def watch(self, notify: Callable[[], None] | None) -> None:
        self._notify = notify
        if notify is not None and self._chunks:
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        if self._notify is not None and self._chunks:
            self._notify()

    async def settle(self) -> None:
        """Wait for what was written before an answer: for the end marks of images that write them, else for a little
        silence."""
        deadline = time.monotonic() + (_SENTINEL_S if self._has_ends else _SETTLE_S)
        while len(self._ends) < len(_NAMES) and time.monotonic() < deadline:
            self._arrived.clear()
            left_s = deadline - time.monotonic()
            try:
                async with asyncio.timeout(left_s if self._has_ends else min(_QUIET_S, left_s)):
                    await self._arrived.wait()
            except TimeoutError:
                return

    async def close(self) -> None:
        self._notify = None
        await self._tasks.aclose(grace_s=0.0)
        self._chunks.clear()
