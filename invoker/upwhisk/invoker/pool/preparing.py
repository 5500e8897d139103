"""What requests wait for before one of the few starts is theirs: images that come from elsewhere."""

from __future__ import annotations

import asyncio

from upwhisk.common.spi.containers import ContainerFactory, ContainerSpec
from upwhisk.invoker.pool.lease import PoolClosed


class Preparing:
    def __init__(self, factory: ContainerFactory) -> None:
        self._factory = factory
        self._under_way: set[asyncio.Task[None]] = set()
        self._closed = False

    async def prepare(self, spec: ContainerSpec, namespace: str) -> None:
        """As the factory does it; `PoolClosed` once nobody is to wait any more."""
        self._refuse_if_closed()
        work = asyncio.get_running_loop().create_task(self._factory.prepare(spec, namespace))
        self._under_way.add(work)
        work.add_done_callback(self._under_way.discard)
        try:
            await work
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and not caller.cancelling():
                self._refuse_if_closed()
            raise

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise PoolClosed("the node is stopping") from None

    def close(self) -> None:
        self._closed = True
        for work in self._under_way:
            work.cancel()
