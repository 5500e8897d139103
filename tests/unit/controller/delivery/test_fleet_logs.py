"""What is left of controllers, logs and nodes: nothing, in the end; and what a reader of a log has to read."""

from __future__ import annotations

import pytest
from fakes.fleet import Fleet, FleetController, fleet
from fakes.fleet_node import FleetNode

from upwhisk.common.messages import Bundle, Returned
from upwhisk.controller.delivery import log as log_module
from upwhisk.controller.delivery.hosting import LOGS
from upwhisk.controller.delivery.ownership import REMOVED_AFTER_S


async def adopted(platform: Fleet, by: FleetController) -> None:
    await platform.until(lambda: len(by.hosting.logs()) > 1)


async def at(node: FleetNode, platform: Fleet, name: str, step: str, count: int = 1) -> None:
    await platform.until(lambda: node.gates.waiting[name, step] == count)


# -- nothing is left --------------------------------------------------------------------------------------------------------


async def test_who_stops_in_good_order_is_followed_at_once() -> None:
    async with fleet() as platform:
        (c0, c1), node = platform.controllers, platform.nodes[0]
        await platform.action("slow")
        node.gates.shut("slow", "begin")
        invoked = await c0.invoke("slow", blocking=False)
        await at(node, platform, "slow", "begin")
        await platform.stop(c0)
        await platform.until(lambda: c1.balancer.in_flight == 1, within_s=1.5)
        node.gates.open("slow", "begin")
        assert (await platform.recorded(invoked.activation_id, c1)).response.success
        await platform.settled()


async def test_who_stops_with_nothing_under_way_leaves_nothing() -> None:
    async with fleet() as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        await c0.invoke("echo")
        own = c0.hosting.own.name
        await platform.stop(c0)
        assert platform.logs() == [c1.hosting.own.topic]
        assert LOGS + own not in await platform.registry.flags("")
        assert list(await platform.registry.holders(LOGS)) == [LOGS + c1.hosting.own.name]


async def test_a_retired_log_leaves_no_topic_no_flag_and_no_claim() -> None:
    async with fleet() as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        invoked = await c0.invoke("echo", blocking=False)
        await platform.kill(c0)
        await platform.recorded(invoked.activation_id, c1)
        await platform.settled()
        assert len(platform.logs()) == 2, "its topic stays while a former owner may come back"
        await platform.pass_time(REMOVED_AFTER_S + 65)
        assert platform.logs() == [c1.hosting.own.topic]
        assert list(await platform.registry.flags(LOGS)) == [LOGS + c1.hosting.own.name]
        assert list(await platform.registry.holders(LOGS)) == [LOGS + c1.hosting.own.name]


async def test_a_late_answer_that_makes_a_topic_anew() -> None:
    async with fleet() as platform:
        (c0, c1), node = platform.controllers, platform.nodes[0]
        await platform.action("slow")
        node.gates.shut("slow", "settle")
        c0.call("slow")
        await at(node, platform, "slow", "settle")
        topic = c0.hosting.own.topic
        await platform.kill(c0)
        await platform.pass_time(REMOVED_AFTER_S + 70)
        assert topic not in platform.logs()
        node.gates.open("slow", "settle")
        await platform.until(lambda: topic in platform.logs())
        await platform.until(lambda: len(c1.hosting.logs()) == 2, within_s=90)
        await platform.settled()
        await platform.pass_time(REMOVED_AFTER_S + 65)
        assert platform.logs() == [c1.hosting.own.topic]


async def test_a_registry_that_has_lost_its_memory_loses_no_work() -> None:
    """Nobody lists the log of a dead controller any more; what it had accepted is found all the same."""
    async with fleet() as platform:
        (c0, c1), node = platform.controllers, platform.nodes[0]
        await platform.action("held")
        node.gates.shut("held", "begin")
        invoked = await c0.invoke("held", blocking=False)
        await at(node, platform, "held", "begin")
        name = c0.hosting.own.name
        await platform.kill(c0)
        await platform.registry.put_flag(LOGS + name, None)
        await platform.until(lambda: len(c1.hosting.logs()) == 2, within_s=90)
        node.gates.open("held", "begin")
        assert (await platform.recorded(invoked.activation_id, c1)).response.success
        await platform.settled()


async def test_topics_of_nodes_that_are_gone() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        for _ in range(4):
            await c0.invoke("echo")
        await platform.stop(platform.nodes[0])
        await platform.pass_time(65)
        assert [name for name in platform.broker.topics if name.startswith("invoker-")] == ["invoker-n1"]
        assert (await c0.invoke("echo")).record is not None


# -- what a reader has to read ----------------------------------------------------------------------------------------------


async def test_old_work_does_not_hold_the_beginning_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "CARRY_AT", 40)
    monkeypatch.setattr(log_module, "STATE_EVERY", 10)
    async with fleet() as platform:
        (c0, c1), node = platform.controllers, platform.nodes[0]
        await platform.action("old")
        await platform.action("echo")
        node.gates.shut("old", "settle")
        old = await c0.invoke("old", {"n": 1}, blocking=False)
        await at(node, platform, "old", "settle")
        topic = platform.broker.topics[c0.hosting.own.topic]
        for _ in range(60):
            await c0.invoke("echo", blocking=False)
        await platform.until(lambda: len(platform.runs(name="echo")) == 60)
        await platform.until(lambda: topic.committed > 60)
        await platform.kill(c0)
        await adopted(platform, c1)
        assert c1.pending[old.activation_id].attempt == 1, "what is carried is all that is known"
        node.gates.open("old", "settle")
        assert (await platform.recorded(old.activation_id, c1)).response.result == {"n": 1}
        await platform.settled()
        assert len(platform.runs(old.activation_id)) == 1


async def test_large_calls_of_one_turn_are_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "BUNDLE_BYTES", 5000)
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        await platform.action("two", "echo", "echo")
        names = ["echo", "two"] * 4
        calls = [c0.call(name, {"x": "y" * 2000}, blocking=False) for name in names]
        done = [await call for call in calls]
        await platform.settled()
        assert all([await c0.record(invoked.activation_id) for invoked in done])
        bundles = [m for m in platform.broker.messages(c0.hosting.own.topic) if isinstance(m, Bundle)]
        assert max(sum(len(repr(entry)) // 2000 for entry in bundle.entries) for bundle in bundles) <= 3
        for bundle in bundles:
            kinds = [type(entry).__name__ for entry in bundle.entries]
            assert kinds.count("Noted") <= kinds.count("Accepted"), "a step of a sequence is one piece"


async def test_what_comes_back_of_nobody_is_told_to_nobody() -> None:
    async with fleet(controllers=1) as platform:
        [c0] = platform.controllers
        stray = Returned(activation_id="f" * 32, node="n0", attempt=1, reason="", dispatch=3)  # type: ignore[arg-type]
        await platform.nodes[0].bus.send(c0.hosting.own.topic, stray)
        await platform.action("echo")
        assert (await c0.invoke("echo")).record is not None, "the log was read on"
        await platform.settled()
        assert not c0.balancer.came_back
        assert [one.name for one in platform.ran] == ["echo"]
