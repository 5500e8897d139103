"""Controllers that are held up at the worst moment: between taking a log over and reading that they have it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes.fleet import Fleet, FleetController, fleet
from fakes.fleet_steps import shut, where

from upwhisk.common.errors import StoreUnavailable, Unavailable, Unconfirmed
from upwhisk.common.messages import TAKES_OVER, ActivationMessage, Bundle


def held_up_at_takeover(controller: FleetController) -> list[str]:
    """It is stopped as soon as it has said that a log is its own; the topic is in the list then."""
    send, took = controller.bus.send, list[str]()

    def sending(topic: str, message: Any) -> asyncio.Future[None]:
        done = send(topic, message)
        if isinstance(message, Bundle) and message.number == TAKES_OVER and not took:
            took.append(topic)
            controller.bus.freeze()
            controller.line.is_cut = True
        return done

    controller.bus.send = sending  # type: ignore[method-assign]
    return took


def hosts(controller: FleetController, name: str) -> bool:
    return name in [each.name for each in controller.hosting.logs()]


async def goes_on(controller: FleetController) -> None:
    controller.bus.thaw()
    controller.line.is_cut = False


async def test_a_log_that_was_lost_before_it_was_had_is_not_kept() -> None:
    """Else its owner's name stays on it, and nobody goes on with what is in it when the real one dies."""
    async with fleet(controllers=3) as platform:
        c0, c1, c2 = platform.controllers
        await platform.action("echo")
        await platform.action("three", "echo", "echo", "echo")
        shut(platform, "echo", "run")
        invoked = await c2.invoke("three", {"n": 1}, blocking=False)
        await where(platform, "echo", "run")
        name = c2.hosting.own.name
        took = held_up_at_takeover(c0)
        c1.line.is_cut = True  # c0 comes first
        await platform.kill(c2)
        await platform.until(lambda: bool(took))
        c0.line.lapse()
        c1.line.is_cut = False
        await platform.until(lambda: hosts(c1, name))
        await platform.pass_time(1)
        await goes_on(c0)
        await platform.pass_time(1)
        assert not hosts(c0, name)
        assert (c0.sequences.ids(), c1.sequences.ids()) == ([], [invoked.activation_id])
        await platform.kill(c1)
        platform.nodes[0].gates.open("echo", "run")
        record = await platform.recorded(invoked.activation_id, c0)
        assert record.response.success
        await platform.settled()
        assert len(platform.runs(name="echo")) == 3


async def test_a_controller_that_lost_its_log_while_it_opened_it_opens_another() -> None:
    async with fleet() as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        former = c0.hosting.own.name
        took = held_up_at_takeover(c0)
        c0.hosting.own._lose("a test says so")
        await platform.until(lambda: bool(took))
        between = took[0].removeprefix("completed-")
        assert between != former
        c0.line.lapse()
        await platform.until(lambda: hosts(c1, between))
        await platform.pass_time(1)
        await goes_on(c0)
        await platform.until(lambda: c0.hosting.problem() is None, within_s=30)
        assert c0.hosting.own.name not in (former, between)
        assert (await c0.invoke("echo")).record is not None


async def test_a_start_that_lost_its_log_ends_and_may_be_tried_again() -> None:
    async with fleet(controllers=1) as platform:
        (c1,) = platform.controllers
        late = FleetController(platform, "late")
        took = held_up_at_takeover(late)
        starting = asyncio.get_running_loop().create_task(late.start())
        await platform.until(lambda: bool(took))
        late.line.lapse()
        await platform.until(lambda: hosts(c1, took[0].removeprefix("completed-")))
        await platform.pass_time(1)
        await goes_on(late)
        await platform.until(starting.done)
        with pytest.raises(StoreUnavailable, match="another controller"):
            await starting
        await late.kill()


async def queued_again(platform: Fleet, controller: FleetController) -> tuple[asyncio.Task[Any], str]:
    """A call whose node died before it began it: it is in the log now, and waits for another node."""
    shut(platform, "echo", "begin")
    call = controller.call("echo", {"n": 1})
    await platform.kill(await where(platform, "echo", "begin"))
    await platform.until(lambda: controller.balancer.queued == 1)
    await platform.pass_time(1)
    (id_,) = controller.balancer.work.ids()
    assert id_ in controller.pending
    return call, id_


async def test_work_that_is_kept_is_not_said_to_be_refused() -> None:
    async with fleet(nodes=1) as platform:
        c0, c1 = platform.controllers
        await platform.action("echo")
        call, id_ = await queued_again(platform, c0)
        name = c0.hosting.own.name
        c0.bus.freeze()
        c0.line.is_cut = True
        c0.line.lapse()
        await platform.until(lambda: hosts(c1, name))
        await goes_on(c0)
        await platform.until(call.done)
        with pytest.raises(Unconfirmed):
            await call
        await platform.node("another")
        await platform.recorded(id_, c1)
        assert len(platform.runs(id_)) == 1


async def test_a_reminder_that_cannot_be_sent_ends_no_call() -> None:
    async with fleet(controllers=1, nodes=1) as platform:
        (c0,) = platform.controllers
        await platform.action("echo")
        shut(platform, "echo", "run")
        call = c0.call("echo", {"n": 1})
        node = await where(platform, "echo", "run")
        send, reminders = c0.bus.send, list[str]()

        def full(topic: str, message: Any) -> asyncio.Future[None]:
            if not isinstance(message, ActivationMessage):
                return send(topic, message)
            reminders.append(topic)
            refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            refused.set_exception(Unavailable("The message bus is full."))
            return refused

        c0.bus.send = full  # type: ignore[method-assign]
        await platform.pass_time(30)
        assert reminders
        assert not call.done()
        node.gates.open("echo", "run")
        assert (await call).record is not None


async def test_work_that_was_only_in_line_is_refused_when_it_cannot_be_kept() -> None:
    """Its caller's time is up, the log takes nothing: it is taken back, so that another controller may be asked."""
    async with fleet(controllers=1, nodes=1, memory_mb=256) as platform:
        (c0,) = platform.controllers
        await platform.action("echo")
        shut(platform, "echo", "run")
        running = c0.call("echo", {"n": 1})
        node = await where(platform, "echo", "run")
        in_line = c0.call("echo", {"n": 2}, wait_ms=200)
        await platform.until(lambda: c0.balancer.queued == 1)
        own, begin = c0.hosting._own, c0.hosting._begin
        c0.hosting._own, c0.hosting._begin = None, lambda name, work: None  # type: ignore[method-assign]
        await platform.until(in_line.done)
        with pytest.raises(StoreUnavailable) as told:
            await in_line
        assert told.value.status == 503
        c0.hosting._own, c0.hosting._begin = own, begin  # type: ignore[method-assign]
        node.gates.open("echo", "run")
        assert (await running).record is not None
        await platform.pass_time(5)
        assert [one.arguments["n"] for one in platform.ran] == [1]
