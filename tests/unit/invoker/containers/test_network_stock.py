"""Networks laid ahead: each is used once, none is lost, and whoever waits for none does not wait."""

from __future__ import annotations

import asyncio
import threading

import pytest
from fakes.until import until

from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.invoker.containers.network_stock import NetworkStock, PreparedNetwork


class Layer:
    """Counts what is laid and given back; `gate` holds the laying, `broken` lets it fail."""

    def __init__(self) -> None:
        self.laid: list[int] = []
        self.released: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False

    def lay(self, number: int) -> PreparedNetwork:
        self.gate.wait(10)
        if self.broken:
            raise OSError("ip: no")
        self.laid.append(number)
        return PreparedNetwork(number, lambda: self.released.append(number))


async def test_the_second_does_not_wait() -> None:
    layer = Layer()
    stock = NetworkStock(layer.lay)
    first = await stock.take()
    await until(lambda: len(stock) == 2)
    layer.gate.clear()
    second, third = await asyncio.wait_for(stock.take(), 1), await asyncio.wait_for(stock.take(), 1)
    assert len({first.descriptor, second.descriptor, third.descriptor}) == 3
    layer.gate.set()
    await until(lambda: len(stock) == 2)
    await stock.aclose()
    assert sorted(layer.released) == sorted(set(layer.laid) - {one.descriptor for one in (first, second, third)})


async def test_numbers_are_free_when_they_are_given_back_and_not_reused_at_once() -> None:
    layer = Layer()
    stock = NetworkStock(layer.lay, ahead=0)
    seen = []
    for _ in range(4092):
        network = await stock.take()
        seen.append(network.descriptor)
        if network.descriptor != 2:
            network.release()
    assert seen == list(range(2, 4094))
    assert (await stock.take()).descriptor == 3, "2 is still in use"
    await stock.aclose()


async def test_who_needs_one_is_told_why_there_is_none() -> None:
    layer = Layer()
    layer.broken = True
    stock = NetworkStock(layer.lay)
    with pytest.raises(ContainerCreateFailed, match="ip: no"):
        await stock.take()
    layer.broken = False
    assert (await stock.take()).descriptor == 3
    await stock.aclose()


async def test_one_that_nobody_waits_for_any_longer_is_given_back() -> None:
    layer = Layer()
    layer.gate.clear()
    stock = NetworkStock(layer.lay, ahead=0)
    taking = asyncio.ensure_future(stock.take())
    await asyncio.sleep(0)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    layer.gate.set()
    await until(lambda: layer.released == [2])
    await stock.aclose()


async def test_closing_waits_for_what_is_being_laid() -> None:
    layer = Layer()
    stock = NetworkStock(layer.lay)
    used = await stock.take()
    await stock.aclose()
    assert sorted([*layer.released, used.descriptor]) == sorted(layer.laid)
