"""Calls of every kind and faults of every kind, in random order, on the real classes; then a look at every promise."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable

import pytest
from fakes.fleet import GUEST, Fleet, FleetController, fleet
from fakes.fleet_node import FleetNode

from upwhisk.common.errors import Unavailable
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.rule import Reference
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.names import EntityName
from upwhisk.controller.api.ports import Invoked

STEPS = 120
ACTIONS = ("once", "again", "ab", "nested")
SEEDS = [*range(6), *(pytest.param(random.SystemRandom().randrange(6, 1_000_000), id=f"new{n}") for n in range(4))]
"""A test that fails shows its argument, by which it can be repeated."""


class Storm:
    def __init__(self, platform: Fleet, seed: int) -> None:
        self._fleet = platform
        self._chance = random.Random(seed)
        self._calls: list[asyncio.Task[Invoked]] = []
        self._fires: list[asyncio.Task[str | None]] = []
        self.refused: set[int] = set()
        """Calls that were answered 503, by their number."""
        self._frozen: set[FleetController | FleetNode] = set()
        self._names = 0

    async def prepare(self) -> None:
        for name in ("once", "a", "b"):
            await self._fleet.action(name)
        await self._fleet.action("again", annotations=(Parameter("retry-safe", True),))
        await self._fleet.action("ab", "a", "b")
        await self._fleet.action("nested", "ab", "a")

    async def blow(self) -> None:
        faults = (
            self._kill_controller,
            self._kill_node,
            self._freeze,
            self._thaw,
            self._broker,
            self._store,
            self._stop_controller,
            self._stop_node,
        )
        for _ in range(STEPS):
            if self._chance.random() < 0.7:
                self._call()
            if self._chance.random() < 0.2:
                await self._chance.choice(faults)()
            if self._chance.random() < 0.15:
                self._fleet.broker.is_away = self._fleet.broker.is_mute = False
            await self._fleet.pass_time(self._chance.choice([0.0, 0.05, 0.25, 0.5, 2.0]))
        await self._heal()

    # -- calls ------------------------------------------------------------------------------------------------------

    def _call(self) -> None:
        if not self._fleet.controllers:
            return
        controller, loop = self._chance.choice(self._fleet.controllers), asyncio.get_running_loop()
        if self._chance.random() < 0.15:
            self._fires.append(loop.create_task(self._fire(controller)))
            return
        name, blocking = self._chance.choice(ACTIONS), self._chance.random() < 0.6
        wait_ms = self._chance.choice([5, 200, 5000])
        self._calls.append(controller.call(name, {"n": len(self._calls)}, blocking=blocking, wait_ms=wait_ms))

    async def _fire(self, controller: FleetController) -> str | None:
        rules = {f"guest/r{n}": RuleLink(action=Reference(path="guest", name=n), status="active") for n in ("once", "ab")}
        door = Trigger(name=EntityName("guest", None, "door"), rules=rules)
        return await controller.fires.fire(GUEST, door, {"n": -1}, {}, "tid")

    # -- faults -----------------------------------------------------------------------------------------------------

    async def _kill_controller(self) -> None:
        if self._fleet.controllers:
            await self._end(self._fleet.kill, self._chance.choice(self._fleet.controllers))
            await self._another_controller()

    async def _stop_controller(self) -> None:
        able = [each for each in self._fleet.controllers if each not in self._frozen]
        if able and not self._fleet.broker.is_away:
            await self._end(self._fleet.stop, self._chance.choice(able))
            await self._another_controller()

    async def _another_controller(self) -> None:
        if not self._fleet.broker.is_away:
            self._names += 1
            await self._fleet.controller(f"d{self._names}")

    async def _kill_node(self) -> None:
        killed = self._chance.choice(self._fleet.nodes)
        await self._end(self._fleet.kill, killed)
        await self._another_node(killed)

    async def _stop_node(self) -> None:
        able = [each for each in self._fleet.nodes if each not in self._frozen]
        if able and not self._fleet.broker.is_away:
            stopped = self._chance.choice(able)
            await self._end(self._fleet.stop, stopped)
            await self._another_node(stopped)

    async def _another_node(self, former: FleetNode) -> None:
        """Another process, often of the same name and perhaps at once."""
        self._names += 1
        await self._fleet.pass_time(self._chance.choice([0.0, 0.0, 1.0, 4.0]))
        await self._fleet.node(former.name if self._chance.random() < 0.6 else f"m{self._names}")

    async def _end(
        self, how: Callable[[FleetController | FleetNode], Awaitable[None]], who: FleetController | FleetNode
    ) -> None:
        self._frozen.discard(who)
        await how(who)

    async def _freeze(self) -> None:
        everybody: list[FleetController | FleetNode] = [*self._fleet.controllers, *self._fleet.nodes]
        who = self._chance.choice(everybody)
        self._frozen.add(who)
        if self._chance.random() < 0.8:
            who.bus.freeze()
        if self._chance.random() < 0.8:
            who.line.is_cut = True
            if isinstance(who, FleetController):
                who.line.lapse()

    async def _thaw(self) -> None:
        if self._frozen:
            who = self._chance.choice(sorted(self._frozen, key=lambda each: each.name))
            self._frozen.discard(who)
            who.bus.thaw()
            who.line.is_cut = False

    async def _broker(self) -> None:
        broker = self._fleet.broker
        if broker.is_away or broker.is_mute:
            broker.is_away = broker.is_mute = False
        elif self._chance.random() < 0.5:
            broker.is_away = True
        else:
            broker.is_mute = True

    async def _store(self) -> None:
        self._fleet.records.is_away = not self._fleet.records.is_away

    async def _heal(self) -> None:
        self._fleet.broker.is_mute = self._fleet.broker.is_away = False
        self._fleet.records.is_away = False
        while self._frozen:
            await self._thaw()
        while len(self._fleet.controllers) < 2:
            await self._another_controller()

    # -- what must be -----------------------------------------------------------------------------------------------

    async def accepted(self) -> set[str]:
        """Every id that a caller was given."""
        platform = self._fleet
        await platform.until(lambda: all(task.done() for task in (*self._calls, *self._fires)), within_s=120)
        ids: set[str] = set()
        for number, call in enumerate(self._calls):
            if not call.cancelled() and call.exception() is None:
                ids.add(call.result().activation_id)
            elif not call.cancelled():
                error = call.exception()
                assert isinstance(error, Unavailable), error
                if error.status == 503:
                    self.refused.add(number)
        for fire in self._fires:
            if not fire.cancelled() and fire.exception() is None:
                ids.add(str(fire.result()))
        return ids


@pytest.mark.parametrize("seed", SEEDS)
async def test_every_promise_is_kept(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("upwhisk.common.retry", "upwhisk.controller.delivery.recorder"):
        monkeypatch.setattr(f"{module}.backoff_s", lambda failures: 0.02)
    monkeypatch.setattr("os.urandom", random.Random(seed).randbytes)
    random.seed(seed)
    monkeypatch.setattr("upwhisk.controller.delivery.awaited.READ_BACK_S", random.choice([0.3, 0.3, 2.0, 15.0]))
    monkeypatch.setattr("upwhisk.controller.delivery.log.STATE_EVERY", 20)
    monkeypatch.setattr("upwhisk.controller.delivery.log.CARRY_AT", 60)
    async with fleet(controllers=3, nodes=3, memory_mb=2048) as platform:
        storm = Storm(platform, seed)
        await storm.prepare()
        await storm.blow()
        ids = await storm.accepted()
        await platform.settled()
        await _check(platform, ids)
        ran = storm.refused & {one.arguments.get("n") for one in platform.ran if isinstance(one.arguments, dict)}
        assert not ran, "whoever got 503 may ask another controller"


async def _check(platform: Fleet, ids: set[str]) -> None:
    reader = platform.controllers[0]
    for id_ in ids:
        record = await reader.record(id_)
        assert record is not None, f"{id_} has no record"
        if record.name == "door":
            for started in (json.loads(line).get("activationId") for line in record.logs):
                assert started is None or await reader.record(started) is not None, f"{started} of {id_} has no record"
    stored = [id_ for batch in platform.records.puts for id_ in batch]
    assert len(ids) > 5, "the storm was no storm"
    assert ids <= set(stored)
    runs: dict[str, int] = {}
    for one in platform.ran:
        runs[one.id] = runs.get(one.id, 0) + 1
        assert runs[one.id] <= (3 if one.name == "again" else 1), f"{one} ran {runs[one.id]} times"
