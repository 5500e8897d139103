"""What may run: direct calls, components of sequences and fired rules are asked the same."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from fakes.rig import GUEST, ActionLimits, Rig, rig, succeeded
from fakes.until import until

from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import NotAuthorized, NotYetAvailable, Unavailable
from upwhisk.common.model.action import Action, Exec
from upwhisk.common.model.identity import Identity, NamespaceLimits
from upwhisk.common.model.package import Package
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.rule import Reference
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.names import EntityName
from upwhisk.controller.api.ports import Call, Invoked

OTHER = Identity("other", "other", "789c46b1-71f6-4ed5-8c54-816aa4f8c502")
SHARED, STEP = EntityName("other", None, "p"), EntityName("other", "p", "step")
TRIGGER = EntityName("guest", None, "t")


async def call(platform: Rig, identity: Identity, name: str, payload: dict[str, Any] | None = None) -> Invoked:
    action = await platform.catalog.resolve(EntityName("guest", None, name))
    assert action is not None
    return await platform.invocations.invoke(Call(identity, action, payload or {}, "tid", True, 5000, None))


async def limited(platform: Rig, **limits: Any) -> Identity:
    """The guest, with these limits of its namespace from now on."""
    made = NamespaceLimits(**limits)
    await platform.store.subjects.put_limits("guest", made)
    platform.limits.forget()
    return Identity("guest", "guest", GUEST.uuid, made)


async def refused_with(platform: Rig, identity: Identity, name: str, payload: dict[str, Any] | None = None) -> str:
    """The error of a sequence that was accepted and ended by the platform's hand."""
    record = (await call(platform, identity, name, payload)).record
    assert record is not None
    assert record.response.status == "application error"
    return str(record.response.result["error"])


async def fire(platform: Rig, identity: Identity, *actions: str) -> list[dict[str, object]]:
    """The lines of the trigger's log, one for each action."""
    links = {f"guest/r{n}": RuleLink(Reference("guest", a), "active") for n, a in enumerate(actions)}
    trigger = Trigger(name=TRIGGER, rules=links)
    fired = await platform.fires.fire(identity, trigger, {}, {}, "tid")
    assert fired is not None
    record = await platform.record(fired)
    assert record is not None
    return [json.loads(line) for line in record.logs]


async def foreign_step(platform: Rig) -> Package:
    """`guest/seq` runs an action of another namespace's shared package, `guest/outer` runs `guest/seq`."""
    package = await platform.catalog.put(Package(name=SHARED, publish=True))
    await platform.catalog.put(Action(name=STEP, exec=Exec("python:3.11", code="x")))
    for name, component in (("seq", "/other/p/step"), ("outer", "/guest/seq")):
        exec_ = Exec("sequence", components=(component,))
        await platform.catalog.put(Action(name=EntityName("guest", None, name), exec=exec_))
    await platform.action("plain")
    return package


async def test_components_the_caller_may_not_run() -> None:
    """A package that is not shared any more refuses direct calls and rules, at any depth."""
    async with rig() as platform:
        package = await foreign_step(platform)
        assert (await call(platform, GUEST, "outer", {"n": 1})).record.response.result == {"n": 1}  # type: ignore[union-attr]
        await platform.catalog.put(Package(name=SHARED, publish=False, revision=package.revision))
        platform.node.ran.clear()
        for name in ("seq", "outer"):
            with pytest.raises(NotAuthorized, match="not authorized to access 'other/p'"):
                await call(platform, GUEST, name)
        lines = await fire(platform, GUEST, "outer", "plain")
        assert [line["statusCode"] for line in lines] == [1, 0]
        assert lines[0]["error"] == "The supplied authentication is not authorized to access 'other/p'."
        await until(lambda: not platform.balancer.in_flight)
        assert [name for name, _ in platform.node.ran] == ["plain"]


async def test_a_package_that_stops_being_shared_while_a_sequence_runs() -> None:
    async with rig() as platform:
        package = await foreign_step(platform)
        exec_ = Exec("sequence", components=("/guest/plain", "/other/p/step"))
        await platform.catalog.put(Action(name=EntityName("guest", None, "two"), exec=exec_))
        closed = Package(name=SHARED, publish=False, revision=package.revision)
        platform.node.behaviours["plain"] = lambda message: None
        task = asyncio.create_task(call(platform, GUEST, "two"))
        await until(lambda: bool(platform.node.held))
        await platform.catalog.put(closed)
        platform.node.answer(platform.node.held[0], succeeded({}))
        record = (await task).record
        assert record is not None
        assert "not authorized to access 'other/p'" in record.response.result["error"]
        assert len(record.logs) == 1


async def test_kinds_and_memory_of_a_namespace_bind_components_and_rules_too() -> None:
    async with rig() as platform:
        await platform.action("big", limits=ActionLimits(memory=512))
        await platform.action("seq", "big")
        small = await limited(platform, max_action_memory=256)
        refusal = "memory size 512 MB exceeds allowed threshold of 256 MB"
        for name in ("big", "seq"):
            assert await refused_with(platform, small, name) == refusal
        (line,) = await fire(platform, small, "big")
        assert line["success"]
        ended = await platform.record(str(line["activationId"]))
        assert ended is not None
        assert ended.response.result == {"error": refusal}
        other_kind = await limited(platform, allowed_kinds=("sequence", "nodejs:20"))
        for name in ("big", "seq"):
            with pytest.raises(NotAuthorized, match=r"actions of kind 'python:3\.11'"):
                await call(platform, other_kind, name)
        (line,) = await fire(platform, other_kind, "seq")
        assert (line["statusCode"], line["success"]) == (1, False)
        assert await platform.store.journal.pending() == []
        assert platform.node.ran == []


async def test_a_refused_component_has_its_own_record() -> None:
    async with rig() as platform:
        await platform.action("big", limits=ActionLimits(memory=512))
        await platform.action("seq", "big")
        small = await limited(platform, max_action_memory=256)
        record = (await call(platform, small, "seq")).record
        assert record is not None
        inner = await platform.record(record.logs[0])
        assert inner is not None
        assert (inner.cause, inner.response) == (record.activation_id, record.response)


async def test_compositions_come_later_wherever_they_are_named() -> None:
    async with rig() as platform:
        await platform.action("conductor", annotations=(Parameter("conductor", {}),))
        await platform.action("seq", "conductor")
        for name in ("conductor", "seq"):
            with pytest.raises(NotYetAvailable, match="compositions"):
                await call(platform, GUEST, name)
        lines = await fire(platform, GUEST, "conductor", "seq")
        assert {line["statusCode"] for line in lines} == {3}
        assert all("compositions" in str(line["error"]) for line in lines)
        assert platform.node.ran == []


async def test_a_locked_parameter_stays_locked_in_a_sequence() -> None:
    async with rig() as platform:
        locked = (Parameter("fixed", 1),)
        await platform.action("final", parameters=locked, annotations=(Parameter("final", True),))
        await platform.action("seq", "final")
        assert "reserved properties" in await refused_with(platform, GUEST, "seq", {"fixed": 2})
        record = (await call(platform, GUEST, "seq", {"open": 2})).record
        assert record is not None
        assert record.response.result == {"fixed": 1, "open": 2}


async def test_what_is_stored_on_a_sequence_or_its_package_reaches_no_component() -> None:
    async with rig() as platform:
        await platform.action("echo", parameters=(Parameter("own", 1),))
        name = EntityName("guest", "p", "seq")
        await platform.catalog.put(
            Package(name=EntityName("guest", None, "p"), parameters=(Parameter("secret", 1, init=True),))
        )
        exec_ = Exec("sequence", components=("/guest/echo",))
        stored = (Parameter("_actions", ["/guest/echo"]), Parameter("x", 1))
        await platform.catalog.put(Action(name=name, exec=exec_, parameters=stored))
        action = await platform.catalog.resolve(name)
        assert action is not None
        invoked = await platform.invocations.invoke(Call(GUEST, action, {"n": 1}, "tid", True, 5000, None))
        assert invoked.record is not None
        assert invoked.record.response.result == {"own": 1, "n": 1}


async def test_after_a_crash_a_sequence_is_bound_by_what_its_namespace_may_use_now() -> None:
    async with rig() as first:
        await first.action("held")
        await first.action("big", limits=ActionLimits(memory=512))
        await first.action("seq", "held", "big")
        first.node.behaviours["held"] = lambda message: None
        action = await first.catalog.resolve(EntityName("guest", None, "seq"))
        assert action is not None
        invoked = await first.invocations.invoke(Call(GUEST, action, {}, "tid", False, 5000, None))
        await until(lambda: bool(first.node.held))
    await first.store.subjects.put_limits("guest", NamespaceLimits(max_action_memory=256))
    async with rig(first.store) as second:
        await second.recovery.run()
        await until(lambda: not second.sequences.open)
        record = await second.record(invoked.activation_id)
        assert record is not None
        assert "exceeds allowed threshold of 256 MB" in record.response.result["error"]
        assert [name for name, _ in second.node.ran] == ["held"]


@pytest.mark.parametrize("limits", [{"max_action_memory": 128}, {"allowed_kinds": ("sequence", "nodejs:20")}])
async def test_a_running_sequence_is_bound_by_what_changes_meanwhile(limits: dict[str, Any]) -> None:
    async with rig() as platform:
        await platform.action("first")
        await platform.action("second")
        await platform.action("seq", "first", "second")
        platform.node.behaviours["first"] = lambda message: None
        task = asyncio.create_task(call(platform, GUEST, "seq"))
        await until(lambda: bool(platform.node.held))
        await limited(platform, **limits)
        platform.node.answer(platform.node.held[0], succeeded({}))
        record = (await task).record
        assert record is not None
        assert record.response.status == "application error"
        assert [name for name, _ in platform.node.ran] == ["first"]


async def test_sequences_that_hold_each_other_end() -> None:
    """Two callers may store them at the same moment."""
    async with rig() as platform:
        await platform.action("a", "b")
        await platform.action("b", "a")
        assert await refused_with(platform, GUEST, "a") == "Too many actions in the sequence."
        assert not platform.sequences.open
        assert platform.node.ran == []


async def test_actions_of_nested_sequences_count_one_by_one() -> None:
    async with rig() as platform:
        await platform.action("x")
        await platform.action("thirty", *["x"] * 30)
        await platform.action("both", "thirty", "x", "thirty")
        record = (await call(platform, GUEST, "both")).record
        assert record is not None
        assert record.response.result == {"error": "Too many actions in the sequence."}
        assert len(record.logs) == 2, "what was within the limit has run"
        assert len(platform.node.ran) == 31


async def test_the_memory_of_nested_components_is_told() -> None:
    async with rig() as platform:
        await platform.action("big", limits=ActionLimits(memory=512))
        await platform.action("small", limits=ActionLimits(memory=128))
        await platform.action("inner", "big")
        await platform.action("outer", "inner", "small")
        record = (await call(platform, GUEST, "outer")).record
        assert record is not None
        limits = next(note.value for note in record.annotations if note.key == "limits")
        assert limits.memory == 512


async def test_too_many_sequences_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upwhisk.controller.sequence.MOST_OPEN", 1)
    async with rig() as platform:
        await platform.action("held")
        await platform.action("seq", "held")
        platform.node.behaviours["held"] = lambda message: None
        task = asyncio.create_task(call(platform, GUEST, "seq"))
        await until(lambda: bool(platform.node.held))
        with pytest.raises(Unavailable, match="1 sequences are under way"):
            await call(platform, GUEST, "seq")
        (line,) = await fire(platform, GUEST, "seq")
        assert (line["statusCode"], line["success"]) == (3, False)
        platform.node.answer(platform.node.held[0], succeeded({}))
        assert (await task).record is not None


async def test_a_namespace_that_keeps_no_records_keeps_none_of_its_triggers() -> None:
    async with rig() as platform:
        await platform.action("plain")
        quiet = await limited(platform, store_activations=False)
        links = {"guest/r": RuleLink(Reference("guest", "plain"), "active")}
        fired = await platform.fires.fire(quiet, Trigger(name=TRIGGER, rules=links), {}, {}, "tid")
        assert fired is not None
        await until(lambda: bool(platform.node.ran) and not platform.balancer.in_flight)
        assert await platform.record(fired) is None


async def test_a_resumed_sequence_began_when_it_began() -> None:
    async with rig() as first:
        await first.action("held")
        await first.action("seq", "held", "held")
        first.node.behaviours["held"] = lambda message: None
        action = await first.catalog.resolve(EntityName("guest", None, "seq"))
        assert action is not None
        invoked = await first.invocations.invoke(Call(GUEST, action, {}, "tid", False, 5000, None))
        await until(lambda: bool(first.node.held))
        began = first.node.held[0].accepted_ms
    async with rig(first.store) as second:
        await until(lambda: SystemClock().now_ms() > began + 40)
        await second.recovery.run()
        await until(lambda: not second.sequences.open)
        record = await second.record(invoked.activation_id)
        assert record is not None
        assert record.start <= began + 20, "not when it was taken up again"
