"""Two releases side by side: what the other wrote is not read, and the work it speaks of comes to an end all the same."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from fakes.fleet import fleet
from fakes.fleet_steps import error_of

from upwhisk.common.messages import FORM, Begun, Bundle, Completion, Message, Returned, encode_message
from upwhisk.common.model.parameters import Parameter

Write = Callable[[Message], bytes]


def other_form_of(*kinds: type) -> Write:
    """Writes these as a release would that this one does not read."""

    def write(message: Message) -> bytes:
        data = encode_message(message)
        if not isinstance(message, kinds):
            return data
        return msgspec.msgpack.encode({**msgspec.msgpack.decode(data), "form": FORM + 7, "record": 1, "entries": 1})

    return write


async def test_an_outcome_that_is_not_read_ends_the_work_with_the_reason() -> None:
    async with fleet(nodes=1) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        platform.nodes[0].bus.writes = other_form_of(Begun, Completion)
        waiting, kept = c0.call("echo"), await c0.invoke("echo", blocking=False)
        await platform.until(waiting.done, within_s=20)
        for record in ((await waiting).record, await platform.recorded(kept.activation_id, c0)):
            assert f"has form {FORM + 7}, this release reads {FORM}" in error_of(record)
            assert "it may have run, so it was not run again" in error_of(record)
        await platform.settled()
        assert len(platform.ran) == 2


async def test_a_start_that_is_not_read_counts_when_the_node_is_lost() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        for node in platform.nodes:
            node.bus.writes = other_form_of(Begun)
            node.gates.shut("once", "settle")
        await platform.action("once")
        invoked = await c0.invoke("once", blocking=False)
        await platform.until(lambda: len(platform.ran) == 1)
        await platform.kill(next(node for node in platform.nodes if node.name == platform.ran[0].node))
        assert "was running on a node that was lost" in error_of(await platform.recorded(invoked.activation_id, c0))
        await platform.settled()
        assert len(platform.ran) == 1


async def test_work_that_a_node_does_not_read_waits_for_one_that_does() -> None:
    async with fleet(nodes=1) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        unread = other_form_of()
        c0.bus.writes = lambda message: (
            other_form_of(type(message))(message) if getattr(message, "node", "") == "n0" else unread(message)
        )
        waiting, kept = c0.call("echo", {"n": 1}), await c0.invoke("echo", blocking=False)
        await platform.until(lambda: c0.balancer.came_back["returned"] > 2)
        assert not platform.ran
        await platform.node("n1")
        await platform.until(waiting.done, within_s=60)
        assert (await waiting).record.response.result == {"n": 1}  # type: ignore[union-attr]
        assert (await platform.recorded(kept.activation_id, c0)).response.success
        await platform.settled()
        assert [one.node for one in platform.ran] == ["n1", "n1"]


async def test_a_return_that_is_not_read_is_placed_again() -> None:
    async with fleet(nodes=2) as platform:
        c0, _ = platform.controllers
        await platform.action("echo")
        for node in platform.nodes:
            node.bus.writes = other_form_of(Returned)
            node.gates.shut("echo", "begin")
        invoked = await c0.invoke("echo", blocking=False)
        await platform.until(lambda: any(node.gates.waiting["echo", "begin"] for node in platform.nodes))
        leaving = next(node for node in platform.nodes if node.gates.waiting["echo", "begin"])
        stays = next(node for node in platform.nodes if node is not leaving)
        stays.gates.open("echo", "begin")
        leaving.standing.resign()
        leaving.gates.open("echo", "begin")
        assert (await platform.recorded(invoked.activation_id, c0)).response.success
        await platform.settled()
        assert len(platform.ran) == 1


async def test_a_log_that_is_not_read_waits_for_a_release_that_reads_it() -> None:
    async with fleet(controllers=2) as platform:
        c0, c1 = platform.controllers
        await platform.action("echo", annotations=(Parameter("retry-safe", True),))
        platform.nodes[0].gates.shut("echo", "begin")
        name, topic = c0.hosting.own.name, platform.broker.topic(c0.hosting.own.topic)
        before = len(topic.messages)
        invoked = await c0.invoke("echo", blocking=False)
        await platform.until(lambda: platform.nodes[0].gates.waiting["echo", "begin"] == 1)
        await platform.kill(c0)
        readable = topic.messages[before]
        topic.messages[before] = other_form_of(Bundle)(msgspec.msgpack.decode(readable, type=Bundle))
        await platform.until(lambda: bool(c1.hosting.unreadable()))
        assert f"The log '{name}' cannot be taken over: it has form {FORM + 7}" in c1.hosting.unreadable()[0]
        await platform.pass_time(30)
        assert c1.hosting.named(name) is None
        assert await c1.record(invoked.activation_id) is None
        topic.messages[before] = readable
        c2 = await platform.controller("c2")
        await platform.until(lambda: c2.hosting.named(name) is not None)
        await platform.until(lambda: not c1.hosting.unreadable())
        platform.nodes[0].gates.open("echo", "begin")
        assert (await platform.recorded(invoked.activation_id, c2)).response.success
        await platform.settled()
        assert len(platform.ran) == 1


async def test_an_owner_gives_a_log_up_that_it_does_not_read() -> None:
    async with fleet(controllers=1) as platform:
        (c0,) = platform.controllers
        await platform.action("echo")
        own = c0.hosting.own
        entry = other_form_of(Bundle)(Bundle(owner=own.ledger.owner, number=77))
        platform.broker.topic(own.topic).messages.append(entry)
        platform.broker.topic(own.topic).tell()
        await platform.until(lambda: own.lost)
        await platform.until(lambda: c0.hosting.problem() is None)
        assert c0.hosting.own is not own
        assert (await c0.invoke("echo")).record is not None
