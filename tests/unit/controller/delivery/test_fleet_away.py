"""Controllers that were away: what they believed to be theirs is not, and they learn it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes.fleet import GUEST, Fleet, FleetController, fleet
from fakes.fleet_node import FleetNode

from upwhisk.common.errors import Unconfirmed
from upwhisk.common.messages import Bundle
from upwhisk.common.model.rule import Reference
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.names import EntityName
from upwhisk.controller.delivery.ownership import OWNED_S


async def adopted(platform: Fleet, by: FleetController) -> None:
    await platform.until(lambda: len(by.hosting.logs()) > 1)


async def at(node: FleetNode, platform: Fleet, name: str, step: str, count: int = 1) -> None:
    await platform.until(lambda: node.gates.waiting[name, step] == count)


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
            with pytest.raises(Unconfirmed):
                await call
        await platform.until(lambda: c0.hosting.problem() is None)
        assert c0.hosting.own is not former
        node.gates.open("slow", "settle")
        assert (await platform.recorded(kept.activation_id, c1)).response.success
        assert (await c0.invoke("slow")).record is not None
        await platform.settled()
        assert len(platform.ran) == 3, "two of before, one of now; what was refused did not run"


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("what", ["a call", "a fire"])
async def test_a_sequence_that_was_accepted_in_the_moment_its_log_is_lost_runs_once(what: str, *, blocking: bool) -> None:
    """Its owner reads at once that it is accepted and that another controller has taken it over."""
    async with fleet() as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        await platform.action("two", "echo", "echo")
        link = RuleLink(action=Reference(path="guest", name="two"), status="active")
        door = Trigger(name=EntityName("guest", None, "door"), rules={"guest/r": link})
        topic, former = c0.hosting.own.topic, c0.hosting.own
        if what == "a call":
            told: asyncio.Task[Any] = c0.call("two", {"n": 1}, blocking=blocking)
        else:
            told = asyncio.get_running_loop().create_task(c0.fires.fire(GUEST, door, {"n": 1}, {}, "tid"))
        while not any(isinstance(each, Bundle) and each.entries for each in platform.broker.messages(topic)):
            await asyncio.sleep(0)
        assert not former.ledger.pending, "it has not read it yet"
        await away(platform, c0)
        await adopted(platform, c1)
        await back(c0)
        await platform.until(told.done)
        assert former.lost
        await platform.settled()
        assert (await told) is not None
        assert len(platform.runs(name="echo")) == 2, "each step once"


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
        with pytest.raises(Unconfirmed):
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
