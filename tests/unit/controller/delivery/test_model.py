"""The delivery protocol in every order that chance can think of: crashes, delays, duplicates, cuts, zombies."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from model.controller import Controller
from model.host import Host
from model.node import Node
from model.quiet import check, settle
from model.world import World

_few = st.integers(0, 2)
_many = st.integers(0, 30)


def pick(items: Any, number: int) -> Any:
    """One of them, None of nothing."""
    every = list(items)
    return every[number % len(every)] if every else None


class Delivery(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        for node in self.world.nodes:
            node.beat()
            node.heartbeat_is_heard()
            node.heartbeat_is_confirmed()
        self._flow(20, 31, random.Random(0))

    def _controller(self, number: int) -> Controller | None:
        found: Controller | None = pick(self.world.up(), number)
        return found

    def _node(self, number: int) -> Node:
        return self.world.nodes[number % len(self.world.nodes)]

    def _host(self, number: int) -> Host | None:
        found: Host | None = pick((host for each in self.world.up() for host in each.hosts.values()), number)
        return found

    # -- calls ----------------------------------------------------------------------------------------------------------

    @rule(who=_few, retry_safe=st.booleans(), stored=st.integers(0, 5), sequence=st.integers(0, 5))
    def accept(self, who: int, retry_safe: bool, stored: int, sequence: int) -> None:
        if (controller := self._controller(who)) is not None:
            controller.accept(self.world.work(retry_safe=retry_safe, stored=stored > 0, sequence=sequence == 0))

    @rule(who=_few, retry_safe=st.booleans())
    def fire(self, who: int, retry_safe: bool) -> None:
        if (controller := self._controller(who)) is not None:
            controller.accept(self.world.work(retry_safe=retry_safe), self.world.work())

    @rule(who=_few, retry_safe=st.booleans(), stored=st.integers(0, 5))
    def call(self, who: int, retry_safe: bool, stored: int) -> None:
        if (controller := self._controller(who)) is not None:
            controller.call(self.world.work(retry_safe=retry_safe, stored=stored > 0))

    @rule(who=_few, which=_many)
    def keep(self, who: int, which: int) -> None:
        controller = self._controller(who)
        if controller is not None and (waiting := pick((p for p in controller.pending.values() if p.waits), which)):
            controller.keep(waiting)

    @rule(who=_few, which=_many)
    def note(self, who: int, which: int) -> None:
        controller = self._controller(who)
        if controller is not None and (id_ := pick(controller.sequences, which)) is not None:
            controller.note(id_)

    @rule(who=_few, which=_many)
    def finish(self, who: int, which: int) -> None:
        controller = self._controller(who)
        if controller is not None and (id_ := pick(controller.sequences, which)) is not None:
            controller.finish(id_)

    # -- the bus ----------------------------------------------------------------------------------------------------------

    @rule(which=_many, times=st.integers(1, 3))
    def carry(self, which: int, times: int) -> None:
        for _ in range(times):
            if (lane := pick(self.world.bus.lanes(), which)) is not None:
                self.world.bus.carry(lane)

    @rule(which=_many)
    def slow_down(self, which: int) -> None:
        if (lane := pick(self.world.bus.lanes(), which)) is not None:
            self.world.bus.slow.add(lane)

    @rule()
    def speed_up(self) -> None:
        self.world.bus.slow.clear()

    @rule(times=st.integers(3, 40), awake=st.integers(0, 31), seed=st.integers(0, 1000))
    def flow(self, times: int, awake: int, seed: int) -> None:
        """For a while those who are awake do their work, in some order."""
        self._flow(times, awake, random.Random(seed))

    def _flow(self, times: int, awake: int, chance: random.Random) -> None:
        controllers = [c for number, c in enumerate(self.world.controllers) if c.is_up and awake >> number & 1]
        nodes = [node for number, node in enumerate(self.world.nodes) if awake >> (3 + number) & 1]
        for _ in range(times):
            for _ in range(2):
                self.carry(chance.randrange(30), 3)
            if controllers:
                self._work(chance.choice(controllers), chance)
            if nodes:
                node = chance.choice(nodes)
                node.take()
                for life in list(node.lives):
                    node.step(life)

    def _work(self, controller: Controller, chance: random.Random) -> None:
        for host in list(controller.hosts.values()):
            for _ in range(chance.randrange(4)):
                host.read()
        if chance.random() < 0.3:
            controller.look()
        for pending in list(controller.pending.values()):
            controller.place(pending, chance.choice(self.world.nodes).name)

    @rule(which=_many)
    def say_again(self, which: int) -> None:
        """What a node said arrives once more."""
        if (said := pick(self.world.answers[-8:], which)) is not None:
            self.world.bus.send("duplicates", *said)

    @rule(which=_many)
    def hand_again(self, which: int) -> None:
        """What a node was handed arrives once more."""
        if (handed := pick(self.world.handed[-8:], which)) is not None:
            self.world.bus.send("duplicates", *handed)

    # -- controllers --------------------------------------------------------------------------------------------------------

    @rule(which=_many, times=st.integers(1, 4))
    def read(self, which: int, times: int) -> None:
        if (host := self._host(which)) is not None:
            for _ in range(times):
                host.read()

    @rule(who=_few)
    def look(self, who: int) -> None:
        if (controller := self._controller(who)) is not None:
            controller.look()

    @rule(who=_few, which=_many, where=_few)
    def place(self, who: int, which: int, where: int) -> None:
        controller = self._controller(who)
        if controller is not None and (pending := pick(controller.pending.values(), which)) is not None:
            controller.place(pending, self._node(where).name)

    @rule(who=_few, which=_many)
    def remind(self, who: int, which: int) -> None:
        controller = self._controller(who)
        if controller is not None and (pending := pick(controller.pending.values(), which)) is not None:
            controller.remind(pending)

    @rule(who=_few)
    def end(self, who: int) -> None:
        if (controller := self._controller(who)) is not None:
            for pending in list(controller.pending.values()):
                controller.end(pending)

    @rule(who=_few)
    def put(self, who: int) -> None:
        if (controller := self._controller(who)) is not None:
            controller.put()

    @rule(who=_few)
    def stored(self, who: int) -> None:
        if (controller := self._controller(who)) is not None:
            controller.stored()

    @rule(which=_many)
    def give_up_waiting(self, which: int) -> None:
        if (host := self._host(which)) is not None:
            host.give_up_oldest()

    @rule(which=_many)
    def state(self, which: int) -> None:
        host = self._host(which)
        if host is not None and host.is_open:
            host.state()

    @rule(which=_many, what=_many)
    def say_carried(self, which: int, what: int) -> None:
        host = self._host(which)
        if host is not None and host.is_open and (id_ := pick(host.ledger.pending, what)) is not None:
            host.carry([id_], behind_a_word=False)

    @rule(which=_many, what=st.integers(0, 7), words=st.integers(0, 3))
    def carry_behind_a_word(self, which: int, what: int, words: int) -> None:
        """Some of what is under way, or all of it; perhaps with more words around."""
        host = self._host(which)
        if host is not None and host.is_open:
            if words & 1:
                host.state()
            host.carry([id_ for number, id_ in enumerate(host.ledger.pending) if what >> number % 3 & 1])
            if words & 2:
                host.state()

    @rule(who=_few)
    def read_and_store_all(self, who: int) -> None:
        if (controller := self._controller(who)) is not None:
            for host in list(controller.hosts.values()):
                while host.read():
                    pass
            controller.put()
            controller.stored()

    @rule(who=_few)
    def crash(self, who: int) -> None:
        if (controller := self._controller(who)) is not None:
            controller.crash()

    @precondition(lambda self: len(self.world.up()) < 3)
    @rule(who=_few)
    def start(self, who: int) -> None:
        if (controller := pick((c for c in self.world.controllers if not c.is_up), who)) is not None:
            controller.start()

    @rule(who=_few)
    def open_own(self, who: int) -> None:
        if (controller := self._controller(who)) is not None:
            controller.open_own()

    @rule(which=_many)
    def drop_what_the_dead_sent(self, which: int) -> None:
        living = {each.process for each in self.world.up()} | {node.process for node in self.world.nodes}
        dead = [lane for lane in self.world.bus.on_their_way if lane[0] not in living]
        if (lane := pick(dead, which)) is not None:
            self.world.bus.drop(lane)

    # -- logs change hands --------------------------------------------------------------------------------------------------

    @rule(which=_many)
    def lose_claims(self, which: int) -> None:
        """The registry has heard nothing of a controller: it died, or is away."""
        processes = sorted(set(self.world.registry.claims.values()))
        if (process := pick(processes, which)) is not None:
            for name in self.world.claims_of(process):
                del self.world.registry.claims[name]

    @rule(who=_few, which=_many, mark=st.integers(-4, -1))
    def adopt(self, who: int, which: int, mark: int) -> None:
        controller, name = self._controller(who), pick(self.world.orphans(), which)
        if controller is not None and name is not None and name not in controller.hosts:
            controller.host(name, mark=mark)

    @rule(which=_many, who=_few)
    def take_over(self, which: int, who: int) -> None:
        """What one has is another's from now on, though the first may not know."""
        if (found := self._host(which)) is None or (other := self._controller(who)) is None or found.name in other.hosts:
            return
        self.world.registry.claims.pop(found.name, None)
        if found.name in self.world.orphans():
            other.host(found.name)

    @rule(who=_few, by=_few, seed=st.integers(0, 1000))
    def be_away(self, who: int, by: int, seed: int) -> None:
        """For so long that another takes all it has, ends it, and the topics go."""
        absent, other, chance = self._controller(who), self._controller(by), random.Random(seed)
        if absent is None or other is None or absent is other:
            return
        for host in list(absent.hosts.values()):
            self.world.registry.claims.pop(host.name, None)
            if host.name in self.world.orphans() and host.name not in other.hosts:
                other.host(host.name)
        awake = 24 | 1 << self.world.controllers.index(other)
        for seconds in (1.0, 80.0):
            for _ in range(8):
                self._flow(6, awake, chance)
                self.read_and_store_all(by)
            for host in list(other.hosts.values()):
                other.retire(host)
            self.world.now += seconds
        self.world.sweep()

    @rule(who=_few, which=_many)
    def claim_again(self, who: int, which: int) -> None:
        controller = self._controller(who)
        if controller is not None and (name := pick(controller.hosts, which)) is not None:
            self.world.registry.claims.setdefault(name, controller.process)

    @rule()
    def sweep(self) -> None:
        self.world.sweep()

    @rule(who=_few)
    def retire(self, who: int) -> None:
        if (controller := self._controller(who)) is not None:
            for host in list(controller.hosts.values()):
                controller.retire(host)

    # -- nodes --------------------------------------------------------------------------------------------------------------

    @rule(where=_few)
    def take(self, where: int) -> None:
        self._node(where).take()

    @rule(where=_few, which=_many)
    def step(self, where: int, which: int) -> None:
        node = self._node(where)
        if (life := pick(node.lives, which)) is not None:
            node.step(life)

    @rule(where=_few)
    def crash_node(self, where: int) -> None:
        self._node(where).crash()

    @rule(where=_few)
    def resign(self, where: int) -> None:
        """It leaves in good order."""
        node = self._node(where)
        node.standing.resign()
        self.world.registry.forget(node.name)

    @rule(where=_few, returns=st.booleans())
    def drain(self, where: int, returns: bool) -> None:
        self._node(where).returns = returns

    @rule(where=_few, heard=st.booleans(), confirmed=st.booleans())
    def beat(self, where: int, heard: bool, confirmed: bool) -> None:
        node = self._node(where)
        node.beat()
        if heard:
            node.heartbeat_is_heard()
            if confirmed:
                node.heartbeat_is_confirmed()

    @rule(where=_few)
    def heartbeat_is_heard(self, where: int) -> None:
        self._node(where).heartbeat_is_heard()

    @rule(where=_few)
    def heartbeat_is_confirmed(self, where: int) -> None:
        self._node(where).heartbeat_is_confirmed()

    @rule(where=_few)
    def node_is_given_up(self, where: int) -> None:
        self.world.registry.give_up(self._node(where).name)

    @rule(where=_few, seen_by=st.integers(0, 7))
    def node_is_lost(self, where: int, seen_by: int) -> None:
        """It was not heard of for the lease, and some have seen that."""
        self.world.now += 3.5
        self.world.registry.give_up(self._node(where).name)
        for number, controller in enumerate(self.world.controllers):
            if controller.is_up and seen_by >> number & 1:
                controller.look()

    @rule(where=_few)
    def node_is_forgotten(self, where: int) -> None:
        self.world.registry.forget(self._node(where).name)

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0, 3.5, 12.0, 80.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds

    def teardown(self) -> None:
        settle(self.world)
        check(self.world)


Delivery.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
TestDelivery = Delivery.TestCase
