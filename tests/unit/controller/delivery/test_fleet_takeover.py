"""Controllers that die, stop, or are away: others go on with what they had accepted, and nothing is left of them."""

from __future__ import annotations

import asyncio
import json

import pytest
from fakes.fleet import GUEST, Fleet, FleetController, fleet
from fakes.fleet_node import FleetNode

from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.rule import Reference
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.names import EntityName

RETRY_SAFE = (Parameter("retry-safe", True),)


async def adopted(platform: Fleet, by: FleetController) -> None:
    await platform.until(lambda: len(by.hosting.logs()) > 1)


async def at(node: FleetNode, platform: Fleet, name: str, step: str, count: int = 1) -> None:
    await platform.until(lambda: node.gates.waiting[name, step] == count)


async def test_work_that_nodes_have_stays_with_them() -> None:
    async with fleet() as platform:
        (c0, c1), node = platform.controllers, platform.nodes[0]
        for name in ("held", "started"):
            await platform.action(name)
        node.gates.shut("held", "begin")
        node.gates.shut("started", "settle")
        held, started = [await c0.invoke(name, blocking=False) for name in ("held", "started")]
        await at(node, platform, "held", "begin")
        await at(node, platform, "started", "settle")
        await platform.kill(c0)
        await adopted(platform, c1)
        await platform.until(lambda: c1.balancer.in_flight == 2)
        assert c1.booked_mb == 512, "it has taken their permits"
        node.gates.open("held", "begin")
        node.gates.open("started", "settle")
        for invoked in (held, started):
            assert (await platform.recorded(invoked.activation_id, c1)).response.success
        await platform.settled()
        assert len(platform.ran) == 2


async def test_a_hand_over_that_was_never_sent_is_sent_by_the_next_owner() -> None:
    async with fleet() as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        sends = c0.bus.send
        c0.bus.send = lambda topic, message: (  # type: ignore[method-assign]
            asyncio.get_running_loop().create_future() if topic.startswith("invoker-") else sends(topic, message)
        )
        invoked = await c0.invoke("echo", blocking=False)
        await platform.until(lambda: bool(c0.pending[invoked.activation_id].message.node))
        await platform.kill(c0)
        assert await platform.recorded(invoked.activation_id, c1)
        await platform.settled()
        assert len(platform.ran) == 1


async def test_work_whose_node_and_controller_are_lost() -> None:
    async with fleet(nodes=2) as platform:
        c0, c1 = platform.controllers
        for name, annotations in (("once", ()), ("again", RETRY_SAFE), ("held", ())):
            await platform.action(name, annotations=annotations)
            step = "begin" if name == "held" else "settle"
            for node in platform.nodes:
                node.gates.shut(name, step)
        ids = {name: (await c0.invoke(name, blocking=False)).activation_id for name in ("once", "again", "held")}
        await platform.until(lambda: sum(sum(node.gates.waiting.values()) for node in platform.nodes) == 3)
        await platform.kill(c0)
        for node in list(platform.nodes):
            await platform.kill(node)
        await platform.node("late")
        once, again, held = [await platform.recorded(ids[name], c1) for name in ("once", "again", "held")]
        assert "was running on a node that was lost" in once.response.result["error"]
        assert again.response.success
        assert held.response.success
        await platform.settled()
        assert {name: len(platform.runs(name=name)) for name in ids} == {"once": 1, "again": 2, "held": 1}


# -- sequences and fires ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["begin", "run", "settle"])
@pytest.mark.parametrize("component", ["a", "b", "c"])
async def test_a_sequence_goes_on_in_another_controller(component: str, step: str) -> None:
    async with fleet() as platform:
        (c0, c1), node = platform.controllers, platform.nodes[0]
        for name in ("a", "b", "c"):
            await platform.action(name)
        await platform.action("inner", "a", "b")
        await platform.action("outer", "inner", "c")
        node.gates.shut(component, step)
        invoked = await c0.invoke("outer", {"n": 1}, blocking=False)
        await at(node, platform, component, step)
        await platform.kill(c0)
        await adopted(platform, c1)
        node.gates.open(component, step)
        record = await platform.recorded(invoked.activation_id, c1)
        assert record.response.result == {"n": 1}
        await platform.settled()
        assert [one.name for one in platform.ran] == ["a", "b", "c"]
        inner = await c1.record(record.logs[0])
        assert inner is not None
        assert (inner.cause, len(inner.logs)) == (record.activation_id, 2)


@pytest.mark.parametrize("ended", ["a", "b"])
async def test_a_sequence_whose_controller_dies_between_two_components(ended: str) -> None:
    """The component has ended in the log, and nobody has read that yet."""
    async with fleet() as platform:
        (c0, c1), node = platform.controllers, platform.nodes[0]
        for name in ("a", "b"):
            await platform.action(name)
        await platform.action("ab", "a", "b")
        node.gates.shut(ended, "settle")
        invoked = await c0.invoke("ab", {"n": 1}, blocking=False)
        await at(node, platform, ended, "settle")
        c0.bus.freeze()
        node.gates.open(ended, "settle")
        await platform.until(lambda: not node.consumer.open)
        await platform.kill(c0)
        assert (await platform.recorded(invoked.activation_id, c1)).response.result == {"n": 1}
        await platform.settled()
        assert [one.name for one in platform.ran] == ["a", "b"]


async def test_who_waits_for_a_sequence_keeps_its_id() -> None:
    async with fleet() as platform:
        (c0, c1), node = platform.controllers, platform.nodes[0]
        await platform.action("a")
        await platform.action("aa", "a", "a")
        node.gates.shut("a", "run")
        waiting = c0.call("aa", {"n": 1})
        await at(node, platform, "a", "run")
        c0.bus.freeze()
        c0.line.is_cut = True
        c0.line.lapse()
        await adopted(platform, c1)
        c0.bus.thaw()
        await platform.until(waiting.done)
        invoked = await waiting
        assert invoked.record is None
        c0.line.is_cut = False
        node.gates.open("a", "run")
        assert (await platform.recorded(invoked.activation_id, c1)).response.result == {"n": 1}
        await platform.settled()
        assert len(platform.ran) == 2


async def test_a_fire_whose_controller_dies() -> None:
    async with fleet() as platform:
        c0, c1 = platform.controllers
        names = ("a", "b", "ab")
        for name in ("a", "b"):
            await platform.action(name)
        await platform.action("ab", "a", "b")
        rules = {f"guest/r{n}": RuleLink(action=Reference(path="guest", name=n), status="active") for n in names}
        trigger = Trigger(name=EntityName("guest", None, "door"), rules=rules)
        id_ = await c0.fires.fire(GUEST, trigger, {"n": 1}, {}, "tid")
        await platform.kill(c0)
        assert id_ is not None
        fired = await platform.recorded(id_, c1)
        await platform.settled()
        for line in fired.logs:
            assert (await platform.recorded(json.loads(line)["activationId"], c1)).response.success
        assert {name: len(platform.runs(name=name)) for name in ("a", "b")} == {"a": 2, "b": 2}
