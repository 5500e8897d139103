"""Networks laid ahead of the guests that will use them: laying one takes three runs of `ip`, 10 to 20 ms."""

from __future__ import annotations

import asyncio
import subprocess
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.common.tasks import TaskOwner

log = structlog.get_logger(__name__)

AHEAD = 2
_FIRST, _LAST = 2, 4093
"""Addresses of guests in a /20: the first is the bridge's, the last but one the trial's."""


@dataclass(frozen=True, slots=True)
class PreparedNetwork:
    """A network namespace with a way out. `release` after the guest is gone: the kernel then takes the cable away."""

    descriptor: int
    release: Callable[[], None]


class NetworkStock:
    """`lay` makes the network of a number, in a thread; `OSError` or `ValueError` if it cannot. Nothing is laid before the
    first is taken."""

    def __init__(self, lay: Callable[[int], PreparedNetwork], ahead: int = AHEAD) -> None:
        self._lay = lay
        self._ahead = ahead
        self._ready: deque[PreparedNetwork] = deque()
        self._numbers: set[int] = set()
        self._last = _FIRST - 1
        self._tasks = TaskOwner("networks", bound=1)
        self._closed = False

    def __len__(self) -> int:
        return len(self._ready)

    async def take(self) -> PreparedNetwork:
        """`ContainerCreateFailed` when none can be laid."""
        network = self._ready.popleft() if self._ready else await self._laid()
        if self._ahead and not self._tasks and not self._closed:
            self._tasks.start(self._refill(), "lay-networks")
        return network

    async def aclose(self) -> None:
        self._closed = True
        await self._tasks.aclose(grace_s=5.0)
        while self._ready:
            self._ready.popleft().release()

    async def _refill(self) -> None:
        while len(self._ready) < self._ahead:
            try:
                network = await self._laid()
            except ContainerCreateFailed as error:  # whoever needs the next is told
                log.warning("no network laid ahead", action="network.not_ahead", reason=str(error))
                return
            if self._closed:
                network.release()
                return
            self._ready.append(network)

    async def _laid(self) -> PreparedNetwork:
        number = self._number()
        laying = asyncio.ensure_future(asyncio.to_thread(self._lay, number))
        try:
            network = await asyncio.shield(laying)
        except asyncio.CancelledError:
            laying.add_done_callback(lambda done: self._give_back(done, number))  # a thread cannot be cancelled
            raise
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._numbers.discard(number)
            raise ContainerCreateFailed(f"no network for another guest: {error}") from None

        def release() -> None:
            network.release()
            self._numbers.discard(number)

        return PreparedNetwork(network.descriptor, release)

    def _give_back(self, laying: asyncio.Future[PreparedNetwork], number: int) -> None:
        if not laying.cancelled() and laying.exception() is None:
            laying.result().release()
        self._numbers.discard(number)

    def _number(self) -> int:
        """The next that is free: the cable of one that was just given back may not be gone yet."""
        for _ in range(_FIRST, _LAST + 1):
            self._last = self._last + 1 if self._last < _LAST else _FIRST
            if self._last not in self._numbers:
                self._numbers.add(self._last)
                return self._last
        raise ContainerCreateFailed(f"all {_LAST - _FIRST + 1} addresses of guests are taken")
