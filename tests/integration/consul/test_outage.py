"""Nodes that fall silent, and a Consul that does: who is said to be down, when, and who is not."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack

import pytest
from fakes.until import until
from integration.consul.conftest import TTL_S, MakeSettings, Seen, report
from services.consul import Consul
from services.toxiproxy import Toxiproxy

from upwhisk.backends.nodes.consul import ConsulRegistry
from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeReport, NodeState

pytestmark = pytest.mark.external_service
SLACK_S = 1.0
_WRITES = 1000
UP, DOWN = NodeState.HEALTHY, NodeState.OFFLINE


async def beat(registry: ConsulRegistry, node: str) -> None:
    """A node's heartbeats, until it is cancelled."""
    while True:
        try:
            await registry.heartbeat(report(node), ttl_s=TTL_S)
        except Unavailable:
            pass
        await asyncio.sleep(TTL_S / 3)


async def beating(stack: AsyncExitStack, registry: ConsulRegistry, node: str) -> None:
    task = asyncio.create_task(beat(registry, node))

    async def end() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(end)


async def test_silence_is_seen_by_others_in_time(
    consul: Consul, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    node = await stack.enter_async_context(ConsulRegistry(settings(consul)))
    watching = await stack.enter_async_context(ConsulRegistry(settings(consul)))
    seen = Seen(watching)
    began = time.monotonic()
    await node.heartbeat(report("a"), ttl_s=TTL_S)
    await until(lambda: seen.last == {"a": UP})
    await until(lambda: seen.last == {"a": DOWN})
    assert TTL_S <= time.monotonic() - began <= TTL_S + 2 * SLACK_S
    await node.heartbeat(report("a"), ttl_s=TTL_S)
    await until(lambda: seen.last == {"a": UP})


async def test_nobody_is_down_because_consul_was(
    own_consul: Consul, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    node = await stack.enter_async_context(ConsulRegistry(settings(own_consul)))
    watching = await stack.enter_async_context(ConsulRegistry(settings(own_consul)))
    await beating(stack, node, "a")
    seen = Seen(watching)
    await until(lambda: seen.last == {"a": UP})
    await asyncio.to_thread(own_consul.kill)
    await until(lambda: node.problem() is not None and watching.problem() is not None)
    with pytest.raises(Unavailable):
        await watching.flags("")
    await asyncio.to_thread(own_consul.restart)
    await until(lambda: node.problem() is None and watching.problem() is None)
    back = time.monotonic()
    await until(lambda: time.monotonic() - back > 2 * TTL_S)
    assert seen.last == {"a": UP}
    assert not seen.ever(DOWN)


async def test_a_consul_that_hangs(own_consul: Consul, settings: MakeSettings, stack: AsyncExitStack) -> None:
    node = await stack.enter_async_context(ConsulRegistry(settings(own_consul)))
    watching = await stack.enter_async_context(ConsulRegistry(settings(own_consul)))
    seen = Seen(watching)
    await node.heartbeat(report("a"), ttl_s=TTL_S)
    await until(lambda: seen.last == {"a": UP})
    own_consul.pause()
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await node.heartbeat(report("a"), ttl_s=TTL_S)
        assert time.monotonic() - began < TTL_S
        await until(lambda: watching.problem() is not None)
        await until(lambda: time.monotonic() - began > 2 * TTL_S)
    finally:
        own_consul.resume()
    await beating(stack, node, "a")
    await until(lambda: watching.problem() is None)
    back = time.monotonic()
    await until(lambda: time.monotonic() - back > 2 * TTL_S)
    assert seen.last == {"a": UP}
    assert not seen.ever(DOWN)


async def test_who_died_while_consul_was_away_is_down_in_the_end(
    own_consul: Consul, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    node = await stack.enter_async_context(ConsulRegistry(settings(own_consul)))
    watching = await stack.enter_async_context(ConsulRegistry(settings(own_consul)))
    seen = Seen(watching)
    await node.heartbeat(report("a"), ttl_s=TTL_S)
    await until(lambda: seen.last == {"a": UP})
    await asyncio.to_thread(own_consul.kill)
    await asyncio.to_thread(own_consul.restart)
    await until(lambda: watching.problem() is None)
    await until(lambda: seen.last == {"a": DOWN}, deadline_s=3 * TTL_S)


async def test_who_is_cut_off_keeps_the_last_picture(
    consul: Consul, toxiproxy: Toxiproxy, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    proxy = toxiproxy.proxy("consul-watcher", consul.address)
    node = await stack.enter_async_context(ConsulRegistry(settings(consul)))
    watching = await stack.enter_async_context(
        ConsulRegistry(settings(consul, url=f"http://{proxy.address}"))
    )
    try:
        await node.heartbeat(report("a"), ttl_s=10 * TTL_S)
        seen = Seen(watching)
        await until(lambda: seen.last == {"a": UP})
        proxy.cut()
        await until(lambda: watching.problem() is not None)
        await node.leave(NodeId("a"))
        await node.heartbeat(report("b"), ttl_s=10 * TTL_S)
        assert seen.last == {"a": UP}
        proxy.heal()
        await until(lambda: seen.last == {"b": UP})
        assert watching.problem() is None
    finally:
        proxy.remove()


async def test_a_registration_that_is_gone_is_made_anew(
    consul: Consul, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    node = await stack.enter_async_context(ConsulRegistry(settings(consul)))
    other = await stack.enter_async_context(ConsulRegistry(settings(consul)))
    await node.heartbeat(report("a"), ttl_s=TTL_S)
    await other.leave(NodeId("a"))
    assert await other.nodes() == ()
    await node.heartbeat(report("a"), ttl_s=TTL_S)
    await node.heartbeat(report("a"), ttl_s=TTL_S)
    assert await other.nodes() == (report("a"),)


async def test_a_consul_that_has_just_started_does_not_tell_of_long_ago(
    own_consul: Consul, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    """It replays its log, write by write; a node that saw its name in its former life's hands would end itself."""
    node = await stack.enter_async_context(ConsulRegistry(settings(own_consul)))
    last = [await told(node, number) for number in range(_WRITES)][-1]
    own_consul.kill()
    starting = asyncio.create_task(asyncio.to_thread(own_consul.restart))
    seen: set[str | None] = set()
    while not starting.done() or not seen:
        with contextlib.suppress(Unavailable):
            found = await node.report(NodeId("a"))
            seen.add(None if found is None else found.incarnation)
        await asyncio.sleep(0)
    await starting
    assert seen == {last.incarnation}


async def told(registry: ConsulRegistry, number: int) -> NodeReport:
    said = report("a", incarnation=f"process.{number}")
    await registry.heartbeat(said, ttl_s=10 * TTL_S)
    return said
