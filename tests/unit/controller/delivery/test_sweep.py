"""One controller of a fleet looks for records that have to go, now and then."""

from __future__ import annotations

import asyncio

import pytest
from fakes.line import Line
from fakes.logbus import Broker, LogBus
from fakes.virtual_time import LoopClock

from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.controller.delivery.sweep import EVERY_S, Sweep


@pytest.mark.parametrize(("interval_s", "looks"), [(10.0, [30, 90, 150, 210, 270]), (100.0, [30, 150, 270])])
async def test_one_of_two_looks_at_its_interval(interval_s: float, looks: list[float]) -> None:
    clock, looked = LoopClock(), []
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def retention() -> int:
        looked.append(round(loop.time() - began))
        return 0

    bus, registry = LogBus(Broker()), MemoryRegistry(clock)
    first, second = (Sweep(bus, Line(registry), clock, name, retention, interval_s) for name in ("c0", "c1"))
    async with first, second:
        await asyncio.sleep(10 * EVERY_S - 1)
    assert looked == looks
