"""Controllers that die, stop, or are away: others go on with what they had accepted, and nothing is left of them."""

from __future__ import annotations

import asyncio
import json

import pytest
from fakes.fleet import GUEST, Fleet, FleetController, fleet
from fakes.fleet_node import FleetNode

from upwhisk.common.errors import Unavailable
from upwhisk.common.messages import Bundle, Returned
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.rule import Reference
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.names import EntityName
from upwhisk.controller.delivery import log as log_module
from upwhisk.controller.delivery.hosting import LOGS
from upwhisk.controller.delivery.ownership import OWNED_S, REMOVED_AFTER_S

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


# -- a controller that was away ---------------------------------------------------------------------------------------------


async def away(platform: Fleet, controller: FleetController) -> None:
    """Stopped, or cut off, for so long that others take over."""
    controller.bus.freeze()
    controller.line.is_cut = True
    controller.line.lapse()


async def back(controller: FleetController) -> None:
    controller.bus.thaw()
    controller.line.is_cut = False


async def test_who_was_away_learns_that_its_log_is_another_ones() -> None:
    async with fleet() as platform:
        (c0, c1), node = platform.controllers, platform.nodes[0]
        await platform.action("slow")
        node.gates.shut("slow", "settle")
        waiting, kept = c0.call("slow"), await c0.invoke("slow", blocking=False)
        await at(node, platform, "slow", "settle", 2)
        former = c0.hosting.own
        await away(platform, c0)
        late = c0.call("slow", blocking=False)
        await adopted(platform, c1)
        await back(c0)
        for call in (waiting, late):
            await platform.until(call.done)
            with pytest.raises(Unavailable):
                await call
        await platform.until(lambda: c0.hosting.problem() is None)
        assert c0.hosting.own is not former
        node.gates.open("slow", "settle")
        assert (await platform.recorded(kept.activation_id, c1)).response.success
        assert (await c0.invoke("slow")).record is not None
        await platform.settled()
        assert len(platform.ran) == 3, "two of before, one of now; what was refused did not run"


async def test_what_a_former_owner_hands_over_counts_for_nothing() -> None:
    async with fleet(nodes=2) as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        for node in platform.nodes:
            node.gates.shut("echo", "begin")
        invoked = await c0.invoke("echo", blocking=False)
        await platform.until(lambda: any(node.gates.waiting["echo", "begin"] for node in platform.nodes))
        node = next(node for node in platform.nodes if node.gates.waiting["echo", "begin"])
        await away(platform, c0)
        await platform.kill(node)
        await adopted(platform, c1)
        c0.line.is_cut = False
        await platform.until(lambda: bool(c0.bus._outbox))
        await platform.until(lambda: platform.nodes[0].gates.waiting["echo", "begin"] == 1)
        await back(c0)
        await platform.pass_time(1)
        platform.nodes[0].gates.open("echo", "begin")
        assert (await platform.recorded(invoked.activation_id, c1)).response.success
        await platform.settled()
        assert len(platform.ran) == 1


async def test_an_owner_whose_words_do_not_come_back_gives_up_by_itself() -> None:
    async with fleet(controllers=1) as platform:
        (c0,), node = platform.controllers, platform.nodes[0]
        await platform.action("slow")
        node.gates.shut("slow", "settle")
        waiting, kept = c0.call("slow"), await c0.invoke("slow", blocking=False)
        await at(node, platform, "slow", "settle", 2)
        former = c0.hosting.own.name
        c0.bus.freeze()
        await platform.pass_time(OWNED_S + 2)
        with pytest.raises(Unavailable):
            await waiting
        assert c0.store.accepts_work() is not None
        c0.bus.thaw()
        node.gates.open("slow", "settle")
        await platform.until(lambda: c0.hosting.problem() is None)
        assert (await platform.recorded(kept.activation_id, c0)).response.success
        assert c0.hosting.own.name != former
        await platform.settled()
        assert len(platform.ran) == 2


async def test_a_quiet_owner_says_that_it_is_there() -> None:
    async with fleet(controllers=1) as platform:
        [c0] = platform.controllers
        former = c0.hosting.own.name
        await platform.pass_time(3 * OWNED_S)
        assert c0.hosting.own.name == former
        assert (len(platform.broker.messages(c0.hosting.own.topic))) < 60


async def test_an_outage_of_the_registry_changes_no_owner() -> None:
    async with fleet() as platform:
        c0, c1 = platform.controllers
        logs = platform.logs()
        for controller in platform.controllers:
            controller.line.is_cut = True
            controller.line.lapse()
        await platform.pass_time(20)
        for controller in platform.controllers:
            controller.line.is_cut = False
        await platform.pass_time(20)
        assert platform.logs() == logs
        assert [len(each.hosting.logs()) for each in (c0, c1)] == [1, 1]


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
        await platform.settled()
