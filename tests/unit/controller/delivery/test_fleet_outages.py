"""Calls in a fleet while the document store or the bus is away."""

from __future__ import annotations

import asyncio

import pytest
from fakes.fleet import Fleet, FleetController, fleet
from fakes.fleet_node import NODE_LEASE_S
from fakes.fleet_steps import shut, where

from upwhisk.common.errors import Unavailable, Unconfirmed
from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import Bundle, Discarded, Message
from upwhisk.common.spi.store import ActivationQuery
from upwhisk.controller.delivery import recorder as recorder_module

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


async def test_a_call_that_the_broker_took_without_saying_so_is_not_answered_503() -> None:
    """Whoever gets 503 may ask another controller: then nothing must have been accepted."""
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        await c0.invoke("echo")
        platform.broker.is_mute = True
        with pytest.raises(Unconfirmed) as told:
            await c0.invoke("echo")
        assert told.value.status == 502
        platform.broker.is_mute = False
        await platform.until(lambda: len(platform.ran) == 2)  # it ran all the same
        c0.bus.freeze()
        waiting = c0.call("echo", {"n": 2}, blocking=False)
        await platform.pass_time(20)
        with pytest.raises(Unconfirmed):
            await waiting


async def test_who_is_refused_before_anything_is_sent_is_answered_503() -> None:
    async with fleet(memory_mb=256) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        c0.balancer.stopping = True
        with pytest.raises(Unavailable) as told:
            await c0.invoke("echo")
        assert told.value.status == 503
        c0.balancer.stopping = False
        await platform.settled()
        assert platform.ran == []


async def test_an_acceptance_that_comes_after_its_502_is_withdrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upwhisk.controller.delivery.awaited.READ_BACK_S", 0.05)
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        await platform.action("two", "echo", "echo")
        c0.bus.freeze()
        for name in ("echo", "two"):
            with pytest.raises(Unconfirmed):
                await c0.invoke(name, blocking=False)
        c0.bus.thaw()
        await platform.until(lambda: written(platform, c0) == ["Accepted", "Accepted", "Discarded", "Discarded"])
        await platform.settled()
        assert platform.ran == []


async def test_a_withdrawal_that_is_lost_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upwhisk.controller.delivery.awaited.READ_BACK_S", 0.05)
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        c0.bus.freeze()
        with pytest.raises(Unavailable):
            await c0.invoke("echo", blocking=False)
        send = c0.bus.send
        lost: list[Message] = []

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


async def test_an_acceptance_that_comes_twice_is_not_withdrawn() -> None:
    async with fleet() as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        platform.nodes[0].gates.shut("echo", "begin")
        invoked = await c0.invoke("echo", blocking=False)
        topic = platform.broker.topic(c0.hosting.own.topic)
        said = [n for n, message in enumerate(platform.broker.messages(c0.hosting.own.topic)) if isinstance(message, Bundle)]
        topic.messages += [topic.messages[n] for n in said[1:]]
        topic.tell()
        await platform.pass_time(1)
        platform.nodes[0].gates.open("echo", "begin")
        await platform.settled()
        assert "Discarded" not in written(platform, c0)
        assert await c0.record(invoked.activation_id) is not None
        assert len(platform.runs(invoked.activation_id)) == 1


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


# -- the registry is away -----------------------------------------------------------------------------------------------


async def test_callers_are_told_at_once_when_nodes_start_nothing() -> None:
    """The registry is away for everybody. The first waits, as nobody knows yet; work without a caller is kept."""
    async with fleet(nodes=1) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        await c0.invoke("echo")
        lines = [c0.line, platform.controllers[1].line, platform.nodes[0].line]
        for line in lines:
            line.is_cut = True
        await platform.pass_time(NODE_LEASE_S + 2)
        first = c0.call("echo", wait_ms=60_000)
        await platform.pass_time(1)
        began = platform.clock.monotonic()
        with pytest.raises(Unavailable, match="nodes start nothing while the node registry is out of reach"):
            await c0.invoke("echo")
        assert platform.clock.monotonic() - began < 0.1
        kept = await c0.invoke("echo", {"n": 1}, blocking=False)
        for line in lines:
            line.is_cut = False
        await platform.until(first.done)
        assert (await first).record is not None
        assert (await platform.recorded(kept.activation_id, c0)).response.result == {"n": 1}
        assert (await c0.invoke("echo")).record is not None
        await platform.settled()


async def test_a_controller_alone_without_the_registry_goes_on() -> None:
    async with fleet(nodes=1) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        c0.line.is_cut = True
        for _ in range(20):
            await platform.pass_time(1)
            assert (await c0.invoke("echo")).record is not None
        c0.line.is_cut = False
        await platform.settled()


async def test_a_controller_alone_without_the_registry_lets_callers_in_while_long_work_runs() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        await platform.action("slow")
        shut(platform, "slow", "settle")
        slow = c0.call("slow", wait_ms=60_000)
        await where(platform, "slow", "settle")
        c0.line.is_cut = True
        await platform.pass_time(NODE_LEASE_S + 5)
        for _ in range(3):
            assert (await c0.invoke("echo")).record is not None
        for node in platform.nodes:
            node.gates.open("slow", "settle")
        assert (await slow).record is not None
        c0.line.is_cut = False
        await platform.settled()
