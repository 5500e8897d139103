"""Nodes that are lost, late, cut off, drained: their work runs once, or as often as it may."""

from __future__ import annotations

import msgspec
import pytest
from fakes.fleet import fleet
from fakes.fleet_node import NODE_LEASE_S, FleetNode
from fakes.fleet_steps import error_of, shut, where

from upwhisk.common.messages import ActivationMessage
from upwhisk.common.model.parameters import Parameter

RETRY_SAFE = (Parameter("retry-safe", True),)


async def test_work_that_had_not_started_runs_elsewhere() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        shut(platform, "echo", "begin")
        invoked = await c0.invoke("echo", {"n": 1}, blocking=False)
        lost = await where(platform, "echo", "begin")
        await platform.kill(lost)
        platform.nodes[0].gates.open("echo", "begin")
        record = await platform.recorded(invoked.activation_id, c0)
        assert record.response.result == {"n": 1}
        await platform.settled()
        assert [one.node for one in platform.ran] == [platform.nodes[0].name]


async def test_work_that_had_started_ends_with_the_reason() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("once")
        shut(platform, "once", "settle")
        invoked = await c0.invoke("once", blocking=False)
        await platform.kill(await where(platform, "once", "settle"))
        record = await platform.recorded(invoked.activation_id, c0)
        assert record.response.status == "whisk internal error"
        assert "was running on a node that was lost" in error_of(record)
        assert "no heartbeat for 3 s" in error_of(record)
        await platform.settled()
        assert len(platform.ran) == 1


async def test_who_waits_for_work_of_a_lost_node_is_told() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("once")
        shut(platform, "once", "settle")
        waiting = c0.call("once")
        lost = await where(platform, "once", "settle")
        await platform.kill(lost)
        await platform.until(waiting.done)
        record = (await waiting).record
        assert "was running on a node that was lost" in error_of(record)
        assert record is not None
        placed = next(a.value for a in record.annotations if a.key == "upwhisk")
        assert (placed.node, placed.why.policy, placed.why.considered) == (lost.name, "warm", 2)
        await platform.settled()
        assert len(platform.ran) == 1


async def test_what_a_lost_node_had_not_started_runs_elsewhere_for_who_waits_for_it() -> None:
    """Though it is not retry-safe: a node says what it starts before it starts it, so this had not."""
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("once")
        shut(platform, "once", "begin")
        waiting = c0.call("once", {"n": 1})
        await platform.kill(await where(platform, "once", "begin"))
        platform.nodes[0].gates.open("once", "begin")
        await platform.until(waiting.done)
        record = (await waiting).record
        assert record is not None
        assert record.response.result == {"n": 1}
        await platform.settled()
        assert len(platform.ran) == 1
        assert await c0.record(record.activation_id) is not None


async def test_what_nodes_of_the_release_before_do_not_say() -> None:
    """They tell the starts of journalled work only, so work that somebody waits for may have started."""
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("once")
        for node in platform.nodes:
            node.heartbeat._base = msgspec.structs.replace(node.heartbeat._base, tells_starts=False)
            await node.heartbeat.beat()
        shut(platform, "once", "begin")
        waiting = c0.call("once")
        await platform.kill(await where(platform, "once", "begin"))
        await platform.until(waiting.done)
        assert "it may have run, so it was not run again" in error_of((await waiting).record)
        await platform.settled()
        assert platform.ran == []


@pytest.mark.parametrize("blocking", [True, False])
async def test_what_a_node_breaks_off_runs_elsewhere_and_is_counted(blocking: bool) -> None:
    """A drain's deadline, or SIGTERM: work that is retry-safe goes back, at most three times in all."""
    async with fleet(nodes=4) as platform:
        c0, _ = platform.controllers
        await platform.action("again", annotations=RETRY_SAFE)
        broken: list[int] = []

        def breaks_off(message: ActivationMessage) -> bool:
            broken.append(message.attempt)
            return platform.nodes[0].handback.runs_again(message)

        for node in platform.nodes:
            node.breaks_off = breaks_off
        calling = c0.call("again", {"n": 7}, blocking=blocking)
        await platform.until(calling.done)
        invoked = await calling
        record = invoked.record or await platform.recorded(invoked.activation_id, c0)
        assert record.response.result == {"n": 7}
        await platform.settled()
        assert broken == [1, 2, 3]
        assert len(platform.ran) == 1, "the last attempt is not broken off by a node that knows that it is"


async def test_the_last_words_of_a_node_are_read_before_its_work_is_judged() -> None:
    """It gave back what somebody waits for and left in good order; the controller hears of the second before it has read
    the first."""
    async with fleet(controllers=1, nodes=2) as platform:
        (c0,) = platform.controllers
        await platform.action("once")
        shut(platform, "once", "begin")
        waiting = c0.call("once", {"n": 1})
        leaving = await where(platform, "once", "begin")
        for node in platform.nodes:
            if node is not leaving:
                node.gates.open("once", "begin")
        c0.bus.freeze()
        leaving.standing.resign()
        leaving.gates.open("once", "begin")
        await platform.stop(leaving)
        await platform.until(lambda: leaving.name not in [node.report.node for node in c0.balancer.view.nodes])
        await platform.pass_time(NODE_LEASE_S + 1)
        c0.bus.thaw()
        await platform.until(waiting.done)
        record = (await waiting).record
        assert record is not None
        assert record.response.result == {"n": 1}
        await platform.settled()
        assert len(platform.ran) == 1


async def test_retry_safe_work_runs_again_for_who_waits_for_it() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("again", annotations=RETRY_SAFE)
        shut(platform, "again", "settle")
        waiting = c0.call("again", {"n": 7})
        await platform.kill(await where(platform, "again", "settle"))
        platform.nodes[0].gates.open("again", "settle")
        await platform.until(waiting.done)
        record = (await waiting).record
        assert record is not None
        assert record.response.result == {"n": 7}
        await platform.settled()
        assert len(platform.ran) == 2
        assert await c0.record(record.activation_id) is not None


async def test_retries_have_an_end() -> None:
    async with fleet(nodes=4) as platform:
        c0, _ = platform.controllers
        await platform.action("again", annotations=RETRY_SAFE)
        shut(platform, "again", "settle")
        invoked = await c0.invoke("again", blocking=False)
        for _ in range(3):
            await platform.kill(await where(platform, "again", "settle"))
        record = await platform.recorded(invoked.activation_id, c0)
        assert "3 times" in error_of(record)
        await platform.settled()
        assert len(platform.ran) == 3


async def freeze(node: FleetNode) -> None:
    """It is stopped, or cut off from everything."""
    node.bus.freeze()
    node.line.is_cut = True


async def thaw(node: FleetNode) -> None:
    node.bus.thaw()
    node.line.is_cut = False


@pytest.mark.parametrize("annotations", [(), RETRY_SAFE])
async def test_a_late_outcome_is_dropped(annotations: tuple[Parameter, ...]) -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("slow", annotations=annotations)
        shut(platform, "slow", "settle")
        invoked = await c0.invoke("slow", blocking=False)
        late = await where(platform, "slow", "settle")
        await freeze(late)
        for node in platform.nodes:
            node.gates.open("slow", "settle")
        record = await platform.recorded(invoked.activation_id, c0)
        await platform.settled()
        await thaw(late)
        await platform.until(lambda: not late.consumer.open)
        await platform.settled()
        assert await c0.record(invoked.activation_id) == record
        assert record.response.success == bool(annotations)
        assert len(platform.ran) == (2 if annotations else 1)


async def test_a_start_that_comes_late_does_not_run() -> None:
    """The node was away between its check and the log: others have run the work meanwhile."""
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        shut(platform, "echo", "begin")
        invoked = await c0.invoke("echo", blocking=False)
        late = await where(platform, "echo", "begin")
        late.bus.freeze()
        late.gates.open("echo", "begin")
        await platform.until(lambda: bool(late.bus._outbox))
        late.line.is_cut = True
        next(node for node in platform.nodes if node is not late).gates.open("echo", "begin")
        await platform.recorded(invoked.activation_id, c0)
        await thaw(late)
        await platform.until(lambda: not late.consumer.open)
        await platform.settled()
        assert [one.node for one in platform.ran] == [node.name for node in platform.nodes if node is not late]


async def test_a_start_that_its_controller_has_not_read_yet_is_not_repeated() -> None:
    """The controller takes the node for lost before it reads that the work had started there."""
    async with fleet(controllers=1, nodes=2) as platform:
        c0 = platform.controllers[0]
        await platform.action("once")
        shut(platform, "once", "begin")
        invoked = await c0.invoke("once", blocking=False)
        node = await where(platform, "once", "begin")
        c0.bus.freeze()
        node.gates.shut("once", "settle")
        node.gates.open("once", "begin")
        await where(platform, "once", "settle")
        await platform.kill(node)
        await platform.until(lambda: bool(c0.bus._outbox))
        c0.bus.thaw()
        record = await platform.recorded(invoked.activation_id, c0)
        assert "so it was not run again" in error_of(record)
        await platform.settled()
        assert len(platform.ran) == 1


async def test_an_outcome_that_its_controller_has_not_read_yet_wins() -> None:
    async with fleet(controllers=1, nodes=2) as platform:
        c0 = platform.controllers[0]
        await platform.action("once")
        shut(platform, "once", "run")
        waiting, kept = c0.call("once"), await c0.invoke("once", blocking=False)
        await platform.until(lambda: sum(node.gates.waiting["once", "run"] for node in platform.nodes) == 2)
        c0.bus.freeze()
        for node in list(platform.nodes):
            node.gates.open("once", "run")
        await platform.until(lambda: not any(node.consumer.open for node in platform.nodes))
        for node in list(platform.nodes):
            await platform.kill(node)
        await platform.pass_time(NODE_LEASE_S + 1)
        c0.bus.thaw()
        assert (await platform.recorded(kept.activation_id, c0)).response.success
        answered = (await waiting).record
        assert answered is not None
        assert answered.response.success
        await platform.settled()
        assert len(platform.ran) == 2


async def test_the_registry_is_away_and_what_runs_goes_on() -> None:
    """Nodes lapse, since nobody can know; they are the same processes when it is back, so nothing is lost."""
    async with fleet(nodes=1) as platform:
        c0, _ = platform.controllers
        node = platform.nodes[0]
        await platform.action("slow")
        node.gates.shut("slow", "run")
        node.gates.shut("slow", "settle")
        running = await c0.invoke("slow", {"n": 1}, blocking=False)
        await platform.until(lambda: node.gates.waiting["slow", "run"] == 1)
        node.gates.open("slow", "run")
        before = node.standing.incarnation
        for each in (c0.line, platform.controllers[1].line, node.line):
            each.is_cut = True
        await platform.pass_time(3 * NODE_LEASE_S)
        waits = await c0.invoke("slow", {"n": 2}, blocking=False)
        await platform.pass_time(1)
        assert len(platform.ran) == 1, "a node that may be lost starts nothing"
        node.line.is_cut = False
        await platform.until(lambda: node.standing.is_member)
        assert node.standing.incarnation != before
        for controller in platform.controllers:
            controller.line.is_cut = False
        node.gates.open("slow", "settle")
        for invoked, n in ((running, 1), (waits, 2)):
            assert (await platform.recorded(invoked.activation_id, c0)).response.result == {"n": n}
        await platform.settled()
        assert len(platform.ran) == 2


async def test_a_node_that_nobody_lists_may_live_for_its_lease() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        shut(platform, "echo", "begin")
        invoked = await c0.invoke("echo", blocking=False)
        node = await where(platform, "echo", "begin")
        await platform.registry.leave(node.heartbeat._base.node)
        await platform.pass_time(0.2)
        assert c0.balancer.work.find(invoked.activation_id).message.node == node.name  # type: ignore[union-attr]
        for each in platform.nodes:
            each.gates.open("echo", "begin")
        await platform.recorded(invoked.activation_id, c0)
        await platform.settled()
        assert [one.node for one in platform.ran] == [node.name]


async def test_a_node_that_was_removed_is_lost_after_its_lease() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        shut(platform, "echo", "begin")
        invoked = await c0.invoke("echo", blocking=False)
        node = await where(platform, "echo", "begin")
        await freeze(node)
        await platform.registry.leave(node.heartbeat._base.node)
        other = next(each for each in platform.nodes if each is not node)
        other.gates.open("echo", "begin")
        await platform.recorded(invoked.activation_id, c0)
        await platform.settled()
        assert [one.node for one in platform.ran] == [other.name]
