"""Invocations, sequences, fires and recovery on fakes: who is answered what, and what the journal holds."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
import structlog.testing
from fakes.rig import GUEST, ActionLimits, Status, failed, rig, succeeded
from fakes.until import until

from upwhisk.common.errors import BadRequest, Unavailable
from upwhisk.common.ids import new_activation_id
from upwhisk.common.messages import ActivationMessage, Returned
from upwhisk.common.model.activation import encode_record
from upwhisk.common.model.identity import Identity, NamespaceLimits
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.rule import Reference
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.names import EntityName
from upwhisk.common.settings import QueueSettings
from upwhisk.controller.api.ports import Call


async def test_blocking_answers_with_the_record_and_keeps_no_journal() -> None:
    async with rig() as platform:
        await platform.action("echo", parameters=(Parameter("a", 1), Parameter("b", 2)))
        invoked = await platform.invoke("echo", {"b": 3})
        assert invoked.record is not None
        assert invoked.record.response.result == {"a": 1, "b": 3}
        stored = await platform.store.activations.get("guest", invoked.activation_id)
        assert stored == encode_record(invoked.record)
        assert await platform.store.journal.pending() == []
        assert platform.balancer.in_flight == 0


async def test_non_blocking_is_journalled_before_it_is_answered() -> None:
    async with rig() as platform:
        await platform.action("held")
        platform.node.behaviours["held"] = lambda message: None
        invoked = await platform.invoke("held", blocking=False)
        assert invoked.record is None
        assert [e.message.activation_id for e in await platform.store.journal.pending()] == [invoked.activation_id]


async def test_who_waits_too_long_gets_an_id_that_is_durable() -> None:
    async with rig() as platform:
        await platform.action("held")
        platform.node.behaviours["held"] = lambda message: None
        invoked = await platform.invoke("held", wait_ms=20)
        assert invoked.record is None
        (entry,) = await platform.store.journal.pending()
        assert (entry.message.activation_id, entry.attempt) == (invoked.activation_id, 1)


async def test_a_message_says_how_long_it_waited_for_a_permit() -> None:
    async with rig() as platform:
        await platform.action("held")
        seen: list[ActivationMessage] = []
        platform.node.behaviours["held"] = seen.append
        await platform.invoke("held", blocking=False)
        await until(lambda: len(seen) == 1)
        late = msgspec.structs.replace(seen[0], activation_id=new_activation_id(), accepted_ms=seen[0].accepted_ms - 60_000, dispatch=0)
        platform.balancer.publish(late)
        await until(lambda: len(seen) == 2)
        assert seen[0].queued_ms < 30_000 < 60_000 <= seen[1].queued_ms


async def test_who_waits_when_waits_end_gets_an_id_that_is_durable() -> None:
    async with rig() as platform:
        await platform.action("held")
        platform.node.behaviours["held"] = lambda message: None
        waiting = [asyncio.create_task(platform.invoke("held")) for _ in range(3)]
        await until(lambda: platform.balancer.in_flight == 3)
        platform.invocations.end_waits()
        ids = {(await each).activation_id for each in waiting}
        assert {entry.message.activation_id for entry in await platform.store.journal.pending()} == ids


async def test_final_parameters_and_init_parameters() -> None:
    async with rig() as platform:
        parameters = (Parameter("fixed", 1), Parameter("open", None), Parameter("early", {"x": 1}, init=True))
        await platform.action("final", parameters=parameters, annotations=(Parameter("final", True),))
        with pytest.raises(BadRequest, match="reserved properties"):
            await platform.invoke("final", {"fixed": 2})
        assert (await platform.invoke("final", {"open": 2})).record.response.result == {"fixed": 1, "open": 2}  # type: ignore[union-attr]


async def test_a_full_queue_refuses_and_waiting_has_an_end() -> None:
    queue = QueueSettings(max_length=1, max_wait_s=0.1)
    async with rig(memory_mb=256, queue=queue) as platform:
        await platform.action("held")
        platform.node.behaviours["held"] = lambda message: None
        await platform.invoke("held", blocking=False)
        waiting = asyncio.create_task(platform.invoke("held"))
        while not platform.balancer.queued:
            await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await platform.invoke("held")
        with pytest.raises(Unavailable):
            await waiting
        assert len(await platform.store.journal.pending()) == 1


async def test_a_sequence_passes_results_on_and_stops_at_an_error() -> None:
    async with rig() as platform:
        await platform.action("inc")
        await platform.action("bad")
        platform.node.behaviours["inc"] = lambda m: succeeded({"n": m.arguments.get("n", 0) + 1})
        platform.node.behaviours["bad"] = lambda m: failed(Status.APPLICATION_ERROR, "no")
        await platform.action("two", "inc", "inc")
        await platform.action("four", "two", "two")
        await platform.action("stops", "inc", "bad", "inc")
        record = (await platform.invoke("four", {"n": 10})).record
        assert record is not None
        assert record.response.result == {"n": 14}
        inner = await platform.record(record.logs[0])
        assert inner is not None
        assert (inner.cause, len(inner.logs)) == (record.activation_id, 2)
        stopped = (await platform.invoke("stops", {"n": 1})).record
        assert stopped is not None
        assert (stopped.response.result, len(stopped.logs)) == ({"error": "no"}, 2)
        assert await platform.store.journal.pending() == []


async def test_numbers_of_any_size_pass_through_a_sequence() -> None:
    async with rig() as platform:
        await platform.action("big")
        await platform.action("echo")
        platform.node.behaviours["big"] = lambda m: succeeded({"v": 2**70})
        await platform.action("seq", "big", "echo")
        record = (await platform.invoke("seq")).record
        assert record is not None
        assert record.response.result == {"v": 2**70}


async def test_limits_that_are_not_allowed_any_more() -> None:
    async with rig() as platform:
        await platform.action("slow", limits=ActionLimits(timeout=60_000))
        action = await platform.catalog.resolve(EntityName("guest", None, "slow"))
        assert action is not None
        narrow = Identity("guest", "guest", GUEST.uuid, NamespaceLimits(max_action_timeout=5000))
        invoked = await platform.invocations.invoke(Call(narrow, action, {}, "tid", True, 1000, None))
        assert invoked.record is not None
        assert invoked.record.response.status == "application error"
        assert "exceeds allowed threshold of 5000 milliseconds" in invoked.record.response.result["error"]
        assert platform.node.ran == []


async def test_sequences_that_wait_when_the_platform_stops_go_on_at_the_next_start() -> None:
    """Also one around another: neither ends, nothing is logged as a failure, and the caller has the id."""
    async with rig(memory_mb=256) as first:
        await first.action("held")
        await first.action("a")
        await first.action("inner", "a")
        await first.action("outer", "inner")
        first.node.behaviours["held"] = lambda message: None
        await first.invoke("held", blocking=False)
        waiting = asyncio.ensure_future(first.invoke("outer", {"n": 1}))
        await until(lambda: first.balancer.queued == 1)
        with structlog.testing.capture_logs() as said:
            first.balancer.work.release_waiting()
            invoked = await waiting
            await until(lambda: not first.sequences.open)
        assert invoked.record is None
        assert {one["log_level"] for one in said} <= {"info"}
    async with rig(first.store) as second:
        await second.recovery.run()
        await until(lambda: not second.sequences.open)
        record = await second.record(invoked.activation_id)
        assert record is not None
        assert record.response.result == {"n": 1}


async def test_a_sequence_goes_on_after_a_crash() -> None:
    async with rig() as first:
        for name in ("a", "b", "c"):
            await first.action(name)
        await first.action("abc", "a", "b", "c")
        first.node.behaviours["b"] = lambda message: None
        invoked = await first.invoke("abc", {"n": 1}, blocking=False)
        while not first.node.held:
            await asyncio.sleep(0)
        assert [name for name, _ in first.node.ran] == ["a", "b"]
        store = first.store
    async with rig(store) as second:
        assert await second.recovery.run() == 2, "the sequence and its component that had not begun"
        async with asyncio.timeout(5):
            while (record := await second.record(invoked.activation_id)) is None:
                await asyncio.sleep(0.001)
        assert [name for name, _ in second.node.ran] == ["b", "c"]
        assert record.response.result == {"n": 1}
        assert len(record.logs) == 3


async def test_started_work_is_not_run_again_unless_it_may_be() -> None:
    async with rig() as first:
        await first.action("once")
        await first.action("again", annotations=(Parameter("retry-safe", True),))
        for name in ("once", "again"):
            first.node.behaviours[name] = lambda message: None
        once = await first.invoke("once", blocking=False)
        again = await first.invoke("again", blocking=False)
        for id_ in (once.activation_id, again.activation_id):
            await first.store.journal.begin(id_, 1)
        store = first.store
    async with rig(store) as second:
        await second.recovery.run()
        async with asyncio.timeout(5):
            while (repeated := await second.record(again.activation_id)) is None:
                await asyncio.sleep(0.001)
        assert [name for name, _ in second.node.ran] == ["again"]
        assert repeated.response.success
        ended = await second.record(once.activation_id)
        assert ended is not None
        assert ended.response.status == "whisk internal error"
        assert "not annotated retry-safe" in ended.response.result["error"]


async def test_retries_have_an_end() -> None:
    async with rig() as first:
        await first.action("again", annotations=(Parameter("retry-safe", True),))
        first.node.behaviours["again"] = lambda message: None
        again = await first.invoke("again", blocking=False)
        await first.store.journal.begin(again.activation_id, 3)
        store = first.store
    async with rig(store) as second:
        await second.recovery.run()
        ended = await second.record(again.activation_id)
        assert ended is not None
        assert "3 times" in ended.response.result["error"]
        assert second.node.ran == []


async def test_a_fire_starts_each_active_rule_once() -> None:
    async with rig() as platform:
        await platform.action("a")
        await platform.action("abc", "a", "a")
        trigger = Trigger(
            name=EntityName("guest", None, "door"),
            parameters=(Parameter("where", "front"),),
            rules={
                "guest/r1": RuleLink(Reference("guest", "a"), "active"),
                "guest/r2": RuleLink(Reference("guest", "abc"), "active"),
                "guest/r3": RuleLink(Reference("guest", "a"), "inactive"),
                "guest/r4": RuleLink(Reference("guest", "gone"), "active"),
                "guest/r5": RuleLink(Reference("other", "private"), "active"),
            },
        )
        id_ = await platform.fires.fire(GUEST, trigger, {"p": 1}, {"x": "y"}, "tid")
        assert id_ is not None
        record = await platform.record(id_)
        assert record is not None
        lines = {line["rule"]: line for line in map(json.loads, record.logs)}
        assert [lines[f"guest/r{i}"]["statusCode"] for i in range(1, 6)] == [0, 0, 1, 1, 1]
        assert lines["guest/r3"]["error"] == "Rule 'guest/r3' is inactive, action 'guest/a' was not activated."
        assert lines["guest/r4"]["error"] == "The requested resource does not exist."
        for rule in ("guest/r1", "guest/r2"):
            async with asyncio.timeout(5):
                while await platform.record(lines[rule]["activationId"]) is None:
                    await asyncio.sleep(0.001)
        assert len(platform.node.ran) == 3
        assert platform.node.ran[0] == ("a", {"where": "front", "__ow_headers": {"x": "y"}, "p": 1})


async def test_a_fire_without_an_active_rule_leaves_nothing() -> None:
    async with rig() as platform:
        trigger = Trigger(name=EntityName("guest", None, "door"))
        assert await platform.fires.fire(GUEST, trigger, {}, {}, "tid") is None


async def test_work_that_comes_back_while_the_platform_stops_keeps_nobody_waiting() -> None:
    """A node stops too, or is lost: what it gives back goes nowhere any more, and its caller has the id at once."""
    async with rig() as platform:
        await platform.action("held")
        platform.node.behaviours["held"] = lambda message: None
        waiting = [asyncio.create_task(platform.invoke("held")) for _ in range(2)]
        while len(platform.node.held) < 2:
            await asyncio.sleep(0)
        platform.balancer.stop()
        given_back, lost = platform.node.held
        returned = Returned(
            activation_id=given_back.activation_id,
            node=given_back.node,
            attempt=given_back.attempt,
            dispatch=given_back.dispatch,
            reason="it stops",
        )
        platform.balancer.completed(returned)
        pending = platform.balancer.work.find(lost.activation_id)
        assert pending is not None
        platform.balancer.requeue(pending)
        async with asyncio.timeout(5):
            invoked = await asyncio.gather(*waiting)
        assert [one.record for one in invoked] == [None, None]
        kept = {e.message.activation_id for e in await platform.store.journal.pending()}
        assert kept == {one.activation_id for one in invoked}


async def test_a_controller_of_a_fleet_that_stops_sends_callers_elsewhere_of_whose_calls_nothing_is_done() -> None:
    async with rig() as platform:
        await platform.action("held")
        platform.node.behaviours["held"] = lambda message: None
        platform.balancer.work.elsewhere = platform.balancer.forget
        waiting = asyncio.create_task(platform.invoke("held"))
        while not platform.node.held:
            await asyncio.sleep(0)
        platform.balancer.stop()
        pending = platform.balancer.work.find(platform.node.held[0].activation_id)
        assert pending is not None
        platform.balancer.requeue(pending)
        with pytest.raises(Unavailable):
            await asyncio.wait_for(waiting, 5)
        assert not await platform.store.journal.pending()
        assert not len(platform.balancer.work)


async def test_the_platform_stops_while_work_waits() -> None:
    async with rig(memory_mb=256) as platform:
        await platform.action("held")
        platform.node.behaviours["held"] = lambda message: None
        await platform.invoke("held", blocking=False)
        waiting = asyncio.create_task(platform.invoke("held"))
        while not platform.balancer.queued:
            await asyncio.sleep(0)
        platform.balancer.stop()
        invoked = await waiting
        assert invoked.record is None
        pending = {e.message.activation_id: e.attempt for e in await platform.store.journal.pending()}
        assert pending[invoked.activation_id] == 0
        with pytest.raises(Unavailable):
            await platform.invoke("held")
