"""Two who change what belongs together, at the same moment, at one controller or at two: whatever the order, it stays whole."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest
from fakes.clock import HastyClock
from fakes.scripted import ScriptedKinds
from fakes.unsteady import Unsteady

from upwhisk.backends.store.memory import MemoryStore
from upwhisk.common.errors import Conflict, HttpError, NotFound
from upwhisk.common.model.action import Action
from upwhisk.common.model.identity import Identity
from upwhisk.common.model.limits import SystemLimits
from upwhisk.common.model.package import Package
from upwhisk.common.model.rule import Rule
from upwhisk.common.model.trigger import Trigger
from upwhisk.common.names import EntityName
from upwhisk.controller.catalog import Catalog
from upwhisk.controller.entities.actions import ActionWriter, parse_action
from upwhisk.controller.entities.packages import PackageWriter
from upwhisk.controller.entities.rules import RuleWriter
from upwhisk.controller.entities.triggers import TriggerWriter

WHO = Identity("guest", "guest", "u")
LIMITS = SystemLimits()
PYTHON = {"exec": {"kind": "python:3", "code": "def main(args): return args"}}
SEEDS = range(60)
RULE = EntityName("guest", None, "r")
TRIGGER = EntityName("guest", None, "t")


class Desk:
    """A controller's writers. Nobody tells it what another has changed: the worst that a slow feed of changes can be."""

    def __init__(self, store: MemoryStore, choice: random.Random) -> None:
        entities, clock = Unsteady(store.entities, choice), HastyClock()
        self.catalog = Catalog(entities)
        self.actions = ActionWriter(self.catalog, ScriptedKinds(), LIMITS, clock)
        self.packages = PackageWriter(self.catalog, entities, LIMITS, clock)
        triggers = self.triggers = TriggerWriter(self.catalog, LIMITS, clock)
        self.rules = RuleWriter(self.catalog, triggers, LIMITS, clock)

    async def put_action(self, name: str, body: dict[str, Any] = PYTHON, *, overwrite: bool = True) -> Action:
        *package, last = name.split("/")
        parsed = parse_action(msgspec.json.encode(body), WHO, ScriptedKinds(), LIMITS)
        where = EntityName("guest", package[0] if package else None, last)
        return await self.actions.put(WHO, where, parsed, overwrite=overwrite)

    async def put_rule(self, body: dict[str, Any]) -> None:
        await self.rules.put(WHO, RULE, msgspec.json.encode(body), overwrite=True)

    async def ready_rule(self) -> None:
        await self.triggers.put(WHO, TRIGGER, b"{}", overwrite=True)
        await self.put_action("a")
        await self.put_rule({"trigger": "/_/t", "action": "/_/a"})


def desks(seed: int, count: int) -> tuple[MemoryStore, Desk, Desk]:
    store, choice = MemoryStore(), random.Random(seed)
    first = Desk(store, choice)
    return store, first, first if count == 1 else Desk(store, choice)


async def both(one: Awaitable[object], other: Awaitable[object]) -> list[bool]:
    """Which of them were done; the others were refused."""
    results = await asyncio.gather(one, other, return_exceptions=True)
    for each in results:
        if isinstance(each, BaseException) and not isinstance(each, HttpError):
            raise each
    return [not isinstance(each, HttpError) for each in results]


async def links(store: MemoryStore) -> dict[str, str]:
    trigger = await Catalog(store.entities).get(Trigger, TRIGGER)
    return {name: link.status for name, link in trigger.rules.items()}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_deleted_rule_does_not_fire(seed: int, count: int) -> None:
    store, first, second = desks(seed, count)
    async with store:
        await first.ready_rule()
        await first.rules.set_status(RULE, "inactive")
        await second.catalog.find(Rule, RULE)
        done = await both(first.rules.delete(RULE), second.rules.set_status(RULE, "active"))
        assert done[0]
        assert await links(store) == {}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
async def test_an_update_does_not_enable_what_is_disabled_at_the_same_moment(seed: int, count: int) -> None:
    store, first, second = desks(seed, count)
    async with store:
        await first.ready_rule()
        await second.catalog.find(Trigger, TRIGGER)
        body = {"annotations": [{"key": "k", "value": 1}]}
        assert await both(first.put_rule(body), second.rules.set_status(RULE, "inactive")) == [True, True]
        assert await links(store) == {"guest/r": "inactive"}


async def test_who_has_an_old_copy_of_a_rule_links_what_it_is_now() -> None:
    store, first, second = desks(1, 2)
    other = EntityName("guest", None, "t2")
    async with store:
        await first.ready_rule()
        await second.catalog.find(Rule, RULE)
        await first.triggers.put(WHO, other, b"{}", overwrite=True)
        await first.put_action("b")
        await first.put_rule({"trigger": "/_/t2", "action": "/_/b"})
        await second.rules.set_status(RULE, "inactive")
        assert await links(store) == {}
        (link,) = (await Catalog(store.entities).get(Trigger, other)).rules.values()
        assert (link.status, str(link.action)) == ("inactive", "/guest/b")
        await second.catalog.find(Rule, RULE)
        await first.put_rule({"annotations": [{"key": "k", "value": 1}]})
        await second.rules.delete(RULE)
        assert (await Catalog(store.entities).get(Trigger, other)).rules == {}


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_rule_that_moves_while_it_is_disabled_is_linked_once(seed: int, count: int) -> None:
    store, first, second = desks(seed, count)
    other = EntityName("guest", None, "t2")
    async with store:
        await first.ready_rule()
        await first.triggers.put(WHO, other, b"{}", overwrite=True)
        await second.catalog.find(Rule, RULE)
        await both(first.put_rule({"trigger": "/_/t2"}), second.rules.set_status(RULE, "inactive"))
        rule = await Catalog(store.entities).get(Rule, RULE)
        linked = [t.name for t in (TRIGGER, other) if (await Catalog(store.entities).get(Trigger, t)).rules]
        assert linked == [rule.trigger.entity.name]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_action_stays_without_its_package(seed: int, count: int, force: bool) -> None:
    store, first, second = desks(seed, count)
    async with store:
        await first.packages.put(WHO, EntityName("guest", None, "p"), b"{}", overwrite=False)
        await second.catalog.find(Package, EntityName("guest", None, "p"))
        deleting = first.packages.delete(EntityName("guest", None, "p"), force=force)
        deleted, created = await both(deleting, second.put_action("p/a"))
        fresh = Catalog(store.entities)
        package = await fresh.find(Package, EntityName("guest", None, "p"))
        action = await fresh.find(Action, EntityName("guest", "p", "a"))
        assert (package is None) == deleted
        assert action is None or package is not None
        assert action is not None or deleted or not created


async def test_the_package_comes_back_as_it_was_when_an_action_was_created_meanwhile() -> None:
    store, first, second = desks(1, 2)
    name = EntityName("guest", None, "p")
    async with store:
        package = await first.packages.put(WHO, name, b'{"parameters":[{"key":"k","value":1}]}', overwrite=False)
        delete = first.catalog.delete

        async def late(entity: Any) -> None:
            await second.put_action("p/a")
            await delete(entity)

        first.catalog.delete = late  # type: ignore[method-assign]
        with pytest.raises(Conflict, match="Package not empty"):
            await first.packages.delete(name, force=False)
        again = await Catalog(store.entities).get(Package, name)
        assert (again.parameters, again.version) == (package.parameters, package.version)


@pytest.mark.parametrize("seed", SEEDS)
async def test_two_sequences_do_not_come_to_hold_each_other(seed: int) -> None:
    store, desk, _ = desks(seed, 1)
    async with store:
        await desk.put_action("a")
        for name in ("sa", "sb"):
            await desk.put_action(name, {"exec": {"kind": "sequence", "components": ["/_/a"]}})
        puts = [
            desk.put_action(one, {"exec": {"kind": "sequence", "components": [f"/_/{other}"]}})
            for one, other in (("sa", "sb"), ("sb", "sa"))
        ]
        assert sorted(await both(*puts)) == [False, True]


async def test_an_action_in_a_package_that_goes_is_refused_and_not_kept() -> None:
    store, first, second = desks(1, 2)
    async with store:
        name = EntityName("guest", None, "p")
        package = await first.packages.put(WHO, name, b"{}", overwrite=False)
        await second.catalog.find(Package, name)
        await first.catalog.delete(package)
        with pytest.raises(NotFound):
            await second.put_action("p/a")
        assert await Catalog(store.entities).find(Action, EntityName("guest", "p", "a")) is None
