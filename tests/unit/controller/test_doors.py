"""New connections are accepted several in a turn of the loop, whatever is ready on the others."""

from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop
from aiohttp import web

from upwhisk.controller.api.doors import bind, close_doors, open_doors, turn_away

_CALLERS = 200


async def _turns_until_accepted() -> int:
    """Turns of the loop until all of many callers at once are connected."""
    accepted = 0

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response()

    class Counting(web.Server):
        def __call__(self) -> web.RequestHandler:
            nonlocal accepted
            accepted += 1
            return super().__call__()

    runner = web.ServerRunner(Counting(answer))
    await runner.setup()
    (listener,) = await bind("127.0.0.1", 0)
    await open_doors(runner, listener)
    callers = [socket.create_connection(runner.addresses[0]) for _ in range(_CALLERS)]  # the kernel's queue has them now
    turns = 0
    try:
        while accepted < _CALLERS and turns <= _CALLERS:
            await asyncio.sleep(0)
            turns += 1
    finally:
        for caller in callers:
            caller.close()
        await runner.cleanup()
    assert accepted == _CALLERS
    return turns


def test_many_are_accepted_in_one_turn() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_turns_until_accepted()) <= _CALLERS // 8


async def _held_at_the_end() -> int:
    """How many callers the kernel held; the next one is refused though the doors are not closed yet."""
    runner = web.ServerRunner(web.Server(lambda request: web.Response()))  # type: ignore[arg-type, return-value]
    await runner.setup()
    (listener,) = await bind("127.0.0.1", 0)
    await open_doors(runner, listener)
    address = runner.addresses[0]
    callers = [socket.create_connection(address) for _ in range(5)]
    held = close_doors(listener)
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        for caller, connection in zip(callers, held, strict=True):
            connection.sendall(b"x")
            assert caller.recv(1) == b"x", "it is whole"
    finally:
        for each in (*callers, *held):
            each.close()
        await runner.cleanup()
    return len(held)


def test_whom_the_kernel_holds_is_not_lost_when_the_doors_close() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_held_at_the_end()) == 5


async def _between_the_last_look_and_the_close() -> None:
    """The process may be held up there for milliseconds. Whoever has connected by then would be cut off."""
    runner = web.ServerRunner(web.Server(lambda request: web.Response()))  # type: ignore[arg-type, return-value]
    await runner.setup()
    (listener,) = await bind("127.0.0.1", 0)
    await open_doors(runner, listener)
    address = runner.addresses[0]
    before = socket.create_connection(address)
    turn_away(listener)
    try:
        with pytest.raises(TimeoutError):  # its first packet is dropped, so nothing of it is lost
            socket.create_connection(address, timeout=0.3)
        (held,) = close_doors(listener)
        held.sendall(b"x")
        assert before.recv(1) == b"x", "who was there before is not concerned"
        before.sendall(b"y" * 100_000)
        held.setblocking(True)
        assert held.recv(100_000), "nor what is sent later"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        held.close()
    finally:
        before.close()
        await runner.cleanup()


def test_nobody_connects_while_the_doors_close() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_between_the_last_look_and_the_close())


async def test_an_address_in_use_is_an_error() -> None:
    (taken,) = await bind("127.0.0.1", 0)
    port = taken.getsockname()[1]
    with taken:
        taken.listen()
        with pytest.raises(OSError, match="in use"):
            await bind("127.0.0.1", port)
