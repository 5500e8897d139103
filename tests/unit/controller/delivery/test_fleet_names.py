"""Two processes of one name: one of them is the node."""

from __future__ import annotations

import pytest
from fakes.fleet import fleet
from fakes.fleet_node import NODE_LEASE_S
from fakes.fleet_steps import shut, where
from fakes.homes import ended_home

from upwhisk.common.ids import NodeId
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.spi.nodes import NodeReport
from upwhisk.invoker.home import take_name


@pytest.mark.parametrize("blocking", [True, False])
async def test_who_comes_back_to_find_its_name_taken_starts_nothing(blocking: bool) -> None:
    """It was cut off for longer than its lease; what it is given runs once, on the other."""
    async with fleet(controllers=1, nodes=1) as platform:
        (c0,) = platform.controllers
        await platform.action("once")
        first = platform.nodes[0]
        displaced: list[str] = []
        first.heartbeat.on_displaced(lambda: displaced.append(first.name))
        first.line.is_cut = True
        await platform.pass_time(NODE_LEASE_S + 1)
        await take_name(platform.registry, NodeId("n0"), NODE_LEASE_S, platform.clock)
        second = await platform.node("n0")
        first.line.is_cut = False
        await platform.until(lambda: bool(displaced))
        assert not first.standing.is_member
        for _ in range(3):
            await platform.pass_time(1)
            found = await platform.registry.report(NodeId("n0"))
            assert found is not None
            assert found.incarnation == second.standing.incarnation
        invoked = await c0.invoke("once", {"n": 1}, blocking=blocking)
        record = invoked.record or await platform.recorded(invoked.activation_id, c0)
        assert record.response.result == {"n": 1}
        await platform.stop(first)
        assert (await c0.invoke("once")).record is not None, "it takes the other's membership not along"
        assert len(platform.ran) == 2


@pytest.mark.parametrize("blocking", [True, False])
async def test_two_that_start_at_the_same_moment_are_one_node_within_a_heartbeat(blocking: bool) -> None:
    """Each saw the name free. What came meanwhile runs once."""
    async with fleet(controllers=1, nodes=0) as platform:
        (c0,) = platform.controllers
        await platform.action("once")
        both = [await platform.node("n0"), await platform.node("n0")]
        displaced: list[str] = []
        for node in both:
            node.heartbeat.on_displaced(lambda: displaced.append("n0"))
        callings = [c0.call("once", {"n": n}, blocking=blocking) for n in range(20)]
        await platform.until(lambda: bool(displaced))
        for calling in callings:
            await platform.until(calling.done)
            invoked = await calling
            record = invoked.record or await platform.recorded(invoked.activation_id, c0)
            assert record.response.success
        assert sorted(one.arguments["n"] for one in platform.ran) == list(range(20))
        await platform.pass_time(2 * NODE_LEASE_S)
        assert len(displaced) == 1
        assert sum(node.standing.is_member for node in both) == 1


async def test_a_registry_restored_from_a_copy_does_not_give_the_name_to_who_has_ended() -> None:
    async with fleet(controllers=1, nodes=1) as platform:
        (c0,), (node,) = platform.controllers, platform.nodes
        await platform.action("once")
        displaced: list[str] = []
        node.heartbeat.on_displaced(lambda: displaced.append(node.name))
        former = NodeReport(node=NodeId("n0"), memory_mb=1, cores=1, home=ended_home(), incarnation="former.0")
        await platform.registry.heartbeat(former, ttl_s=NODE_LEASE_S)
        await platform.pass_time(NODE_LEASE_S)
        found = await platform.registry.report(NodeId("n0"))
        assert found is not None
        assert found.incarnation == node.standing.incarnation
        assert not displaced
        assert (await c0.invoke("once")).record is not None


async def test_a_longer_lease_of_the_former_life_is_waited_for() -> None:
    async with fleet(controllers=0, nodes=0) as platform:
        dead = NodeReport(
            node=NodeId("n"), memory_mb=1, cores=1, home="elsewhere/pid:[1]/7/1", incarnation="x.0", lease_s=30.0
        )
        await platform.registry.heartbeat(dead, ttl_s=30.0)
        began = platform.clock.monotonic()
        await take_name(platform.registry, NodeId("n"), 3.0, platform.clock)
        assert 29 < platform.clock.monotonic() - began < 32


async def test_who_waits_for_long_work_that_is_broken_off_waits_for_a_permit_anew() -> None:
    """Its 30 s are those of one wait, not of all its runs."""
    async with fleet(controllers=1, nodes=3) as platform:
        (c0,) = platform.controllers
        await platform.action("again", annotations=(Parameter("retry-safe", True),))
        for node in platform.nodes:
            node.breaks_off = lambda message: message.attempt <= 2
        shut(platform, "again", "begin")
        calling = c0.call("again", {"n": 1}, wait_ms=60_000)
        await where(platform, "again", "begin")
        await platform.pass_time(31)
        for node in platform.nodes:
            node.gates.open("again", "begin")
        await platform.until(calling.done)
        record = (await calling).record
        assert record is not None
        assert record.response.success
