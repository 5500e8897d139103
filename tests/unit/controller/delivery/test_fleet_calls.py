"""Calls in a fleet whose parts live: what is durable before which answer, and what waits for what."""

from __future__ import annotations

import asyncio

import pytest
from fakes.fleet import GUEST, Fleet, FleetController, fleet

from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import Accepted, ActivationMessage, Bundle, Discarded, Message
from upwhisk.common.model.activation import Activation, succeeded
from upwhisk.common.model.identity import Identity, NamespaceLimits
from upwhisk.common.model.rule import Reference
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.names import EntityName
from upwhisk.common.settings import QueueSettings
from upwhisk.common.spi.store import ActivationQuery
from upwhisk.common.unfinished import fallback
from upwhisk.controller.api.ports import Call
from upwhisk.controller.delivery import recorder as recorder_module
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
        assert said(platform, c0, invoked.activation_id) == ["completion"], "nothing else was journalled"
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
        assert said(platform, c0, invoked.activation_id) == ["accepted"]
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
        assert said(platform, c0, invoked.activation_id) == ["completion", "accepted"]
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
                pending = c0.balancer.find(message.activation_id)
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


# -- the document store is away -----------------------------------------------------------------------------------------


async def test_answers_go_on_without_the_document_store() -> None:
    async with fleet() as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        await c0.invoke("echo")
        platform.records.is_away = True
        answered = [(await c0.invoke("echo", {"n": n})).activation_id for n in range(5)]
        for id_ in answered:
            assert await c0.record(id_) is not None, "who answered serves the record at once"
        assert not c0.hosting.own.is_idle
        platform.records.is_away = False
        listing = asyncio.ensure_future(c0.store.activations.list(ActivationQuery(namespace="guest")))
        assert len(await listing) == 6, "lists wait for what is on its way"
        await platform.settled()
        for id_ in answered:
            assert await c1.record(id_) is not None


async def test_lists_do_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upwhisk.controller.delivery.store._BARRIER_S", 0.05)
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        platform.records.is_away = True
        invoked = await c0.invoke("echo")
        with pytest.raises(Unavailable, match="away"):
            await c0.store.activations.list(ActivationQuery(namespace="guest"))
        assert await c0.record(invoked.activation_id) is not None
        assert await c0.store.activations.get("other", ActivationId(invoked.activation_id)) is None


@pytest.mark.parametrize(("bound", "most"), [("MAX_WAITING", 3), ("MAX_WAITING_BYTES", 2000)])
async def test_too_many_records_without_a_store(monkeypatch: pytest.MonkeyPatch, bound: str, most: int) -> None:
    monkeypatch.setattr(recorder_module, bound, most)
    async with fleet() as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        platform.records.is_away = True
        answered = 0
        while c0.store.accepts_work() is None:
            await c0.invoke("echo")
            answered += 1
        assert 3 <= answered <= 4
        with pytest.raises(Unavailable):
            await c0.invoke("echo")
        assert "wait for the document store" in str(c0.store.accepts_work())
        assert c1.store.accepts_work() is None
        platform.records.is_away = False
        await platform.settled()
        assert c0.store.accepts_work() is None
        assert (await c0.invoke("echo")).record is not None


# -- the bus is away ------------------------------------------------------------------------------------------------------


async def test_without_the_bus_nothing_is_accepted() -> None:
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        platform.broker.is_away = True
        for blocking in (True, False):
            with pytest.raises(Unavailable):
                await c0.invoke("echo", blocking=blocking)
        platform.broker.is_away = False
        await platform.settled()
        assert platform.ran == []
        assert (await c0.invoke("echo")).record is not None


async def test_work_under_way_outlasts_the_bus() -> None:
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        node = platform.nodes[0]
        node.gates.shut("echo", "settle")
        waiting, kept = c0.call("echo"), await c0.invoke("echo", blocking=False)
        await platform.until(lambda: node.gates.waiting["echo", "settle"] == 2)
        platform.broker.is_away = True
        node.gates.open("echo", "settle")
        await platform.pass_time(3)
        platform.broker.is_away = False
        assert (await waiting).record is not None
        assert await platform.recorded(kept.activation_id, c0)
        await platform.settled()
        assert len(platform.ran) == 2


async def test_an_acceptance_that_comes_after_its_503_is_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upwhisk.controller.delivery.log.READ_BACK_S", 0.05)
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        await platform.action("two", "echo", "echo")
        c0.bus.freeze()
        for name in ("echo", "two"):
            with pytest.raises(Unavailable):
                await c0.invoke(name, blocking=False)
        c0.bus.thaw()
        await platform.until(lambda: written(platform, c0) == ["Accepted", "Accepted", "Discarded", "Discarded"])
        await platform.settled()
        assert platform.ran == []


async def test_a_withdrawal_that_is_lost_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upwhisk.controller.delivery.log.READ_BACK_S", 0.05)
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        c0.bus.freeze()
        with pytest.raises(Unavailable):
            await c0.invoke("echo", blocking=False)
        send, lost = c0.bus.send, []

        def losing(topic: str, message: Message) -> asyncio.Future[None]:
            if not lost and isinstance(message, Bundle) and any(isinstance(e, Discarded) for e in message.entries):
                lost.append(message)
                refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                refused.set_exception(Unavailable("The broker did not take the message in time."))
                refused.exception()
                return refused
            return send(topic, message)

        c0.bus.send = losing  # type: ignore[method-assign]
        c0.bus.thaw()
        await platform.until(lambda: bool(lost))
        await platform.settled()
        assert written(platform, c0) == ["Accepted", "Discarded"]
        assert platform.ran == []


def written(platform: Fleet, controller: FleetController) -> list[str]:
    bundles = [m for m in platform.broker.messages(controller.hosting.own.topic) if isinstance(m, Bundle)]
    return [type(entry).__name__ for bundle in bundles for entry in bundle.entries]


async def test_a_broker_that_confirms_nothing() -> None:
    """What comes back is durable, whether or not the broker said so; a node knows a hand-over that it has had."""
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        node = platform.nodes[0]
        node.gates.shut("echo", "run")
        platform.broker.is_mute = True
        invoked = await c0.invoke("echo", blocking=False)
        topic = f"invoker-{node.name}"
        await platform.until(lambda: len(platform.broker.messages(topic)) > 2)
        platform.broker.is_mute = False
        node.gates.open("echo", "run")
        await platform.settled()
        assert len(platform.runs(invoked.activation_id)) == 1
