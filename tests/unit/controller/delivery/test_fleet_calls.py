"""Calls in a fleet whose parts live: what is durable before which answer, and what waits for what."""

from __future__ import annotations

import asyncio

import pytest
from fakes.fleet import GUEST, Fleet, FleetController, fleet

from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import Unavailable, UpwhiskError
from upwhisk.common.messages import Accepted, ActivationMessage, Bundle
from upwhisk.common.model.activation import Activation, succeeded
from upwhisk.common.model.identity import Identity, NamespaceLimits
from upwhisk.common.model.rule import Reference
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.names import EntityName
from upwhisk.common.settings import QueueSettings
from upwhisk.common.unfinished import fallback
from upwhisk.controller.api.ports import Call
from upwhisk.controller.live import LiveView


def said(platform: Fleet, controller: FleetController, id: str) -> list[str]:
    """What its own log says of one id, in order."""
    found: list[str] = []
    for each in platform.broker.messages(controller.hosting.own.topic):
        if isinstance(each, Bundle):
            for entry in each.entries:
                if isinstance(entry, Accepted) and id in [m.activation_id for m in entry.messages]:
                    found.append("accepted")
                elif getattr(entry, "activation_id", None) == id:
                    found.append(type(entry).__name__.lower())
        elif each.activation_id == id:
            found.append(type(each).__name__.lower())
    return found


async def test_a_blocking_call_is_answered_from_the_log() -> None:
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        platform.records.is_away = True
        invoked = await c0.invoke("echo", {"a": 1})
        assert invoked.record is not None
        assert invoked.record.response.result == {"a": 1}
        assert said(platform, c0, invoked.activation_id) == ["begun", "completion"], "nothing else was journalled"
        assert await c0.record(invoked.activation_id) == invoked.record
        platform.records.is_away = False
        await platform.settled()
        assert await c0.record(invoked.activation_id) is not None


async def test_an_id_is_durable_before_it_is_given() -> None:
    async with fleet() as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        platform.nodes[0].gates.shut("echo", "begin")
        invoked = await c0.invoke("echo", blocking=False)
        assert "accepted" in said(platform, c0, invoked.activation_id)
        platform.nodes[0].gates.open("echo", "begin")
        await platform.settled()
        assert said(platform, c0, invoked.activation_id) == ["accepted", "dispatched", "begun", "completion"]
        assert await c1.record(invoked.activation_id) is not None, "every controller can serve it"


async def test_who_waits_too_long_gets_an_id_that_is_durable() -> None:
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("slow")
        platform.nodes[0].gates.shut("slow", "run")
        invoked = await c0.invoke("slow", wait_ms=10)
        assert invoked.record is None
        assert said(platform, c0, invoked.activation_id) == ["begun", "accepted"]
        assert c0.pending[invoked.activation_id].begun, "it may have started"
        platform.nodes[0].gates.open("slow", "run")
        await platform.settled()
        assert await c0.record(invoked.activation_id) is not None
        assert len(platform.runs(invoked.activation_id)) == 1


async def test_who_waits_too_long_in_the_queue_gets_one_too() -> None:
    async with fleet(memory_mb=256) as platform:
        c0, _ = platform.controllers
        await platform.action("slow")
        platform.nodes[0].gates.shut("slow", "run")
        first = c0.call("slow", wait_ms=10_000)
        await platform.until(lambda: platform.nodes[0].gates.waiting["slow", "run"] == 1)
        invoked = await c0.invoke("slow", wait_ms=10)
        assert invoked.record is None
        assert not c0.pending[invoked.activation_id].begun
        platform.nodes[0].gates.open("slow", "run")
        assert (await first).record is not None
        await platform.settled()
        assert len(platform.runs(invoked.activation_id)) == 1


async def test_an_outcome_that_comes_while_the_id_is_made_durable() -> None:
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("slow")
        platform.nodes[0].gates.shut("slow", "settle")
        waiting = c0.call("slow", wait_ms=30)
        await platform.until(lambda: platform.nodes[0].gates.waiting["slow", "settle"] == 1)
        c0.bus.freeze()
        await platform.until(lambda: bool(c0.bus._outbox))
        platform.nodes[0].gates.open("slow", "settle")
        await platform.until(lambda: not platform.nodes[0].consumer.open)
        c0.bus.thaw()
        invoked = await waiting
        await platform.settled()
        assert said(platform, c0, invoked.activation_id) == ["begun", "completion", "accepted"]
        assert await c0.record(invoked.activation_id) is not None


@pytest.mark.parametrize("after_s", [-1e-9, 1e-9])
@pytest.mark.parametrize("ends", [True, False])
async def test_work_that_goes_in_the_moment_in_which_its_time_is_up(after_s: float, ends: bool) -> None:
    """Who is given an id finds a record; who is told that it is lost was given no id."""
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("slow")
        platform.nodes[0].gates.shut("slow", "run")
        loop, publish = asyncio.get_running_loop(), c0.balancer.publish

        def published(message: ActivationMessage) -> asyncio.Future[Activation]:
            def gone() -> None:
                pending = c0.balancer.work.find(message.activation_id)
                assert pending is not None
                record = fallback(message, succeeded({"n": 1}), now_ms=message.accepted_ms, kind="python:3.11")
                c0.balancer.resolve(pending, record) if ends else c0.balancer.forget(pending)

            loop.call_at(loop.time() + 1.0 + after_s, gone)
            return publish(message)

        c0.balancer.publish = published  # type: ignore[method-assign]
        waiting = c0.call("slow", wait_ms=1000)
        await platform.until(waiting.done)
        if ends:
            assert (record := (await waiting).record) is not None
            assert record.response.result == {"n": 1}
        else:
            with pytest.raises(Unavailable):
                await waiting
        platform.nodes[0].gates.open("slow", "run")
        await platform.settled()


async def test_work_that_waits_too_long_for_a_permit() -> None:
    queue = QueueSettings(max_wait_s=5.0, max_age_s=30.0)
    async with fleet(memory_mb=256, queue=queue) as platform:
        c0, _ = platform.controllers
        await platform.action("slow")
        platform.nodes[0].gates.shut("slow", "run")
        running = await c0.invoke("slow", blocking=False)
        late = await c0.invoke("slow", blocking=False)
        waiting = c0.call("slow")
        await platform.pass_time(6)
        with pytest.raises(Unavailable):
            await waiting
        ended = await platform.recorded(late.activation_id, c0)
        assert "waited in the queue for longer than 30 s" in ended.response.result["error"]
        platform.nodes[0].gates.open("slow", "run")
        await platform.settled()
        assert [one.id for one in platform.ran] == [running.activation_id]


async def test_a_fire_is_accepted_in_one_piece() -> None:
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("a")
        await platform.action("b")
        id_ = await c0.fires.fire(GUEST, trigger("a", "b"), {"n": 1}, {}, "tid")
        assert id_ is not None
        first = next(m for m in platform.broker.messages(c0.hosting.own.topic) if isinstance(m, Bundle) and m.entries)
        [entry] = first.entries
        assert isinstance(entry, Accepted)
        assert [m.action.name for m in entry.messages] == ["a", "b"]
        assert [r.activation_id for r in entry.records] == [id_]
        await platform.settled()
        assert sorted(one.name for one in platform.ran) == ["a", "b"]


def trigger(*actions: str) -> Trigger:
    rules = {
        f"guest/r{name}": RuleLink(action=Reference(path="guest", name=name), status="active") for name in actions
    }
    return Trigger(name=EntityName("guest", None, "door"), rules=rules)


async def test_a_namespace_that_keeps_no_records() -> None:
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        action = await c0.catalog.resolve(EntityName("guest", None, "echo"))
        assert action is not None
        identity = Identity("guest", "guest", GUEST.uuid, NamespaceLimits(store_activations=False))
        for blocking in (True, False):
            invoked = await c0.invocations.invoke(Call(identity, action, {"n": 1}, "tid", blocking, 60_000, None))
            assert (invoked.record is not None) == blocking
        await platform.settled()
        assert platform.records.puts == []
        assert len(platform.ran) == 2


async def test_cancelling_work_that_has_no_permit() -> None:
    async with fleet(memory_mb=256) as platform:
        c0, _ = platform.controllers
        await platform.action("slow")
        platform.nodes[0].gates.shut("slow", "run")
        await c0.invoke("slow", blocking=False)
        queued = await c0.invoke("slow", blocking=False)
        live = live_view(c0)
        assert await live.cancel("guest", queued.activation_id)
        assert not await live.cancel("guest", queued.activation_id)
        platform.nodes[0].gates.open("slow", "run")
        await platform.settled()
        record = await c0.record(queued.activation_id)
        assert record is not None
        assert "cancelled before it had started" in record.response.result["error"]
        assert platform.runs(queued.activation_id) == []


async def test_a_cancelling_that_cannot_be_kept_cancels_nothing() -> None:
    async with fleet(memory_mb=256) as platform:
        c0, _ = platform.controllers
        await platform.action("slow")
        platform.nodes[0].gates.shut("slow", "run")
        await c0.invoke("slow", blocking=False)
        queued = await c0.invoke("slow", blocking=False)
        platform.broker.is_away = True
        with pytest.raises(Unavailable):
            await live_view(c0).cancel("guest", queued.activation_id)
        platform.broker.is_away = False
        platform.nodes[0].gates.open("slow", "run")
        await platform.settled()
        assert len(platform.runs(queued.activation_id)) == 1


def live_view(controller: FleetController) -> LiveView:
    return LiveView(
        controller.balancer, controller.sequences, controller.store.journal, SystemClock(), lambda _: None
    )


async def test_work_that_no_message_can_carry_fails_alone() -> None:
    """The API lets none through; should one come all the same, it takes no permit, no writer and no look along."""
    async with fleet(memory_mb=1024) as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        action = await c0.catalog.resolve(EntityName("guest", None, "echo"))
        assert action is not None

        async def poisoned(controller: FleetController, *, blocking: bool) -> str:
            call = Call(GUEST, action, {}, "tid", blocking, 60_000, "half a pair: \ud800")
            try:
                await controller.invocations.invoke(call)
            except UpwhiskError as error:
                return type(error).__name__
            return "answered"

        assert await poisoned(c0, blocking=True) == "Unavailable"
        assert (c0.booked_mb, c0.balancer.in_flight) == (0, 0)
        others = [c1.call("echo", {"n": number}, blocking=False) for number in range(3)]
        assert await poisoned(c1, blocking=False) == "StoreUnavailable", "nobody has it"
        for other in others:
            assert (await other).activation_id
        await platform.pass_time(30)
        platform.nodes[0].gates.shut("echo", "run")
        late = c0.call("echo", {"n": 4}, wait_ms=10)
        assert (await late).record is None, "who looks after waiting work lives"
        platform.nodes[0].gates.open("echo", "run")
        await platform.settled()
