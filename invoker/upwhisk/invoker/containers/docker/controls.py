"""Freezing, limits and figures of a container: by its cgroup's files where this user has them, else by the engine."""

from __future__ import annotations

import asyncio
from typing import Any

from upwhisk.common.errors import ContainerError, ContainerGone
from upwhisk.common.spi.containers import ContainerStats
from upwhisk.invoker.containers.cgroups import Cgroup
from upwhisk.invoker.containers.docker.engine import ABSENT, Engine, EngineRefused
from upwhisk.invoker.containers.freezing import stand_still

_VERDICT_S = 2.0
_LOOK_S = 0.02


class Controls:
    """`group`: None if its files are not in sight. `writable`: this user may freeze and limit it."""

    def __init__(self, engine: Engine, id: str, group: Cgroup | None, *, writable: bool) -> None:
        self._engine = engine
        self._id = id
        self._group = group
        self._own = group if writable else None

    @property
    def by_files(self) -> bool:
        """Freezing needs no answer of the engine."""
        return self._own is not None

    async def freeze(self) -> None:
        """Returns when all stand still."""
        if self._own is None:
            await self._ask(self._engine.pause(self._id))
            return
        try:
            stands = await stand_still(self._own)
        except OSError:
            raise ContainerGone from None
        if not stands:
            raise ContainerError(f"container {self._id[:12]} did not stand still in time")

    async def thaw(self) -> None:
        if self._own is None:
            await self._ask(self._engine.unpause(self._id))
            return
        try:
            self._own.thaw()
        except OSError:
            raise ContainerGone from None

    async def resize(self, memory_mb: int) -> None:
        try:
            if self._own is None:
                await self._resize_by_engine(memory_mb)
            else:
                self._own.resize(memory_mb)
        except (OSError, EngineRefused) as error:
            raise ContainerError(f"container {self._id[:12]} cannot have {memory_mb} MB: {error}") from None

    async def _resize_by_engine(self, memory_mb: int) -> None:
        """On cgroup v2 the kernel takes a limit below what is in use and kills for it."""
        if (await self.stats()).memory_bytes > memory_mb << 20:
            raise OSError("more memory is in use")
        await self._engine.resize(self._id, memory_mb << 20)

    async def stats(self) -> ContainerStats:
        try:
            if self._group is not None:
                return self._group.stats()
        except OSError:
            raise ContainerGone from None
        return stats_of(await self._ask(self._engine.stats(self._id)))

    async def _ask(self, call: Any) -> Any:
        try:
            return await call
        except EngineRefused as error:
            if error.status == ABSENT or "is not running" in str(error):
                raise ContainerGone from None
            raise

    def oom_seen(self) -> bool | None:
        """Whether memory killed any of it; None if that cannot be read here, or no more."""
        try:
            return None if self._group is None else self._group.oom_kills() > 0
        except OSError:
            return None

    async def oom_told(self) -> bool:
        """The engine's word, for when the group is gone: it knows of the first process alone."""
        try:
            async with asyncio.timeout(_VERDICT_S):
                while True:
                    state = (await self._engine.inspect(self._id))["State"]
                    if state.get("OOMKilled") or not state.get("Running"):
                        return bool(state.get("OOMKilled"))
                    if self._group is None:
                        return False
                    await asyncio.sleep(_LOOK_S)
        except (TimeoutError, ContainerError):
            return False

    def kill(self) -> bool:
        """Kill every process of it, frozen or not; false if that is the engine's to do."""
        if self._own is None:
            return False
        try:
            self._own.kill()
        except OSError:
            pass  # it is gone
        return True


def stats_of(answer: dict[str, Any]) -> ContainerStats:
    """Pure: figures from the engine's own form."""
    memory = answer.get("memory_stats", {}).get("usage", 0)
    cpu = answer.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage", 0)
    return ContainerStats(int(memory), int(cpu), int(answer.get("pids_stats", {}).get("current", 0)))
