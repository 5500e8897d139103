"""Nodes whose container engine is away: they say so, and what they cannot run runs elsewhere."""

from __future__ import annotations

from fakes.fleet import Fleet, fleet
from fakes.fleet_node import NODE_LEASE_S
from fakes.fleet_steps import shut, where

from upwhisk.common.drain import drain_flag
from upwhisk.common.ids import NodeId

AWAY = "the container engine does not answer 'ping': No such file or directory"


async def _shown(platform: Fleet) -> dict[str, tuple[str, str]]:
    return {report.node: (report.state.value, report.reason) for report in await platform.registry.nodes()}


async def test_a_node_without_its_engine_is_shown_as_unhealthy_and_gets_no_work() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        sick, well = platform.nodes
        sick.problem = AWAY
        await platform.pass_time(NODE_LEASE_S)
        assert await _shown(platform) == {sick.name: ("unhealthy", AWAY), well.name: ("up", "")}
        for n in range(6):
            await c0.invoke("echo", {"n": n})
        assert {one.node for one in platform.ran} == {well.name}
        assert c0.balancer.came_back["returned"] == 0
        sick.problem = None
        await platform.pass_time(NODE_LEASE_S)
        assert (await _shown(platform))[sick.name] == ("up", "")


async def test_a_drain_counts_before_an_engine_that_is_away() -> None:
    async with fleet(nodes=1) as platform:
        (node,) = platform.nodes
        node.problem = AWAY
        await platform.registry.put_flag(drain_flag(NodeId(node.name)), '{"reason":"new disk","until_ms":0}')
        await platform.pass_time(NODE_LEASE_S)
        assert await _shown(platform) == {node.name: ("draining", f"new disk: drained; {AWAY}")}


async def test_work_that_gets_no_container_for_want_of_an_engine_runs_elsewhere() -> None:
    """It was sent before the controllers knew."""
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        shut(platform, "echo", "begin")
        calls = [c0.call("echo", {"n": n}) for n in range(4)]
        sick = await where(platform, "echo", "begin")
        sick.problem = AWAY
        for node in platform.nodes:
            node.gates.open("echo", "begin")
        await platform.until(lambda: all(call.done() for call in calls))
        records = [(await call).record for call in calls]
        assert [record.response.result for record in records if record is not None] == [{"n": n} for n in range(4)]
        assert sick.name not in {one.node for one in platform.ran}
        assert len(platform.ran) == 4
        await platform.settled()


async def test_work_waits_while_no_node_has_an_engine() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        for node in platform.nodes:
            node.problem = AWAY
        invoked = await c0.invoke("echo", {"n": 1}, blocking=False)
        await platform.pass_time(30)
        assert platform.ran == []
        assert c0.balancer.came_back["returned"] < 10, "later each time, and not at all once it is known"
        platform.nodes[0].problem = None
        record = await platform.recorded(invoked.activation_id, c0)
        assert record.response.result == {"n": 1}
        await platform.settled()
        assert [one.node for one in platform.ran] == [platform.nodes[0].name]
