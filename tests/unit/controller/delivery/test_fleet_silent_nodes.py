"""Nodes that live and do not do what they were handed: they stop, never had it, or never answer."""

from __future__ import annotations

import asyncio

from fakes.fleet import fleet
from fakes.fleet_steps import error_of, shut


async def test_a_node_that_stops_gives_back_what_it_has_not_started() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        for line in (c0.line, platform.controllers[1].line):
            line.is_cut = True
        first, second = platform.nodes
        calls = []
        for node in (first, second):
            node.drains.stopping = node is first
        first.consumer.return_new()
        for n in range(8):
            calls.append(c0.call("echo", {"n": n}))
            calls.append(c0.call("echo", {"n": n}, blocking=False))
        await asyncio.sleep(0)
        await first.heartbeat.beat()
        for line in (c0.line, platform.controllers[1].line):
            line.is_cut = False
        await platform.until(lambda: all(call.done() for call in calls))
        for call in calls:
            assert call.exception() is None, "a rolling restart fails no call"
        await platform.settled()
        assert {one.node for one in platform.ran} == {second.name}
        assert len(platform.ran) == 16
        await platform.stop(first)
        assert (await c0.invoke("echo")).record is not None


async def test_a_node_that_stops_unheard_is_not_asked_without_end() -> None:
    """The registry is away, so nobody hears that it stops."""
    async with fleet(nodes=1) as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        [node] = platform.nodes
        for line in (c0.line, c1.line):
            line.is_cut = True
        node.consumer.return_new()
        kept = await c0.invoke("echo", blocking=False)
        await platform.pass_time(10)
        assert 2 <= len(platform.broker.messages("invoker-n0")) < 20
        for line in (c0.line, c1.line):
            line.is_cut = False
        await platform.stop(node)
        await platform.node("late")
        assert (await platform.recorded(kept.activation_id, c0)).response.success
        await platform.settled()
        assert [one.node for one in platform.ran] == ["late"]


async def test_a_node_that_never_got_it_is_handed_it_again() -> None:
    async with fleet(nodes=1) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        node = platform.nodes[0]
        await node.consumer.stop_taking()
        waiting, kept = c0.call("echo"), await c0.invoke("echo", blocking=False)
        await platform.until(lambda: len(platform.broker.topics["invoker-n0"].messages) == 2)
        await node.bus.remove_topic("invoker-n0")
        node.consumer._subscription = None
        await node.consumer.start()
        await platform.until(waiting.done, within_s=60)
        await platform.recorded(kept.activation_id, c0)
        await platform.settled()
        assert len(platform.ran) == 2


async def test_a_node_that_lives_and_never_answers() -> None:
    async with fleet(nodes=1) as platform:
        c0, _ = platform.controllers
        await platform.action("stuck")
        node = platform.nodes[0]
        node.gates.shut("stuck", "settle")
        invoked = await c0.invoke("stuck", blocking=False)
        await platform.until(lambda: len(platform.ran) == 1)
        await platform.pass_time(230)
        assert c0.balancer.work.find(invoked.activation_id) is not None
        await platform.until_async(lambda: _recorded(c0, invoked.activation_id), within_s=60)
        assert "did not say in time how the action ended" in error_of(await c0.record(invoked.activation_id))
        node.gates.open("stuck", "settle")
        await platform.settled()
        assert len(platform.ran) == 1


async def _recorded(controller: object, id: str) -> bool:
    return await controller.record(id) is not None  # type: ignore[attr-defined]


async def test_an_end_is_tried_until_the_log_has_it() -> None:
    async with fleet(controllers=1, nodes=2) as platform:
        c0 = platform.controllers[0]
        await platform.action("once")
        shut(platform, "once", "settle")
        waiting, kept = c0.call("once"), await c0.invoke("once", blocking=False)
        await platform.until(lambda: len(platform.ran) == 2)
        platform.broker.is_away = True
        for node in list(platform.nodes):
            await platform.kill(node)
        await platform.pass_time(10)
        assert c0.balancer.in_flight == 2
        platform.broker.is_away = False
        await platform.until(waiting.done)
        assert "so it was not run again" in error_of((await waiting).record)
        assert "so it was not run again" in error_of(await platform.recorded(kept.activation_id, c0))
        await platform.settled()
