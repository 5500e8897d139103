"""The picture of the nodes: what is lost, what is trusted, what is shared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from fakes.clock import ManualClock

from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.common.ids import NodeId
from upwhisk.common.messages import Demand
from upwhisk.common.spi.nodes import NodeReport, NodeState, Watcher
from upwhisk.loadbalancer.nodeview import NodeView
from upwhisk.loadbalancer.placement import Decision, Request, place
from upwhisk.loadbalancer.tally import RETRY_S, Outcome

REQUEST = Request(("ns", "ns/a", "1"), Demand(kind="python:3.11", memory_mb=256, timeout_ms=1000))


class Registry(MemoryRegistry):
    """Tells what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.watcher: Watcher = lambda reports: None

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        self.watcher = watcher
        return lambda: None

    def tell(self, *reports: NodeReport) -> None:
        self.watcher(tuple(reports))


class World:
    def __init__(self) -> None:
        self.registry, self.clock = Registry(), ManualClock()
        self.view = NodeView(self.registry, self.clock)
        self.lost: list[tuple[str, str, str]] = []
        self.changes = 0
        self.view.on_lost(lambda *what: self.lost.append(what))
        self.view.start(self.changed)

    def changed(self) -> None:
        self.changes += 1

    def place(self) -> Decision:
        return place(self.view.fleet, REQUEST, "warm")

    def run(self, node: str, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            self.view.report_outcome(node, outcome)


@pytest.fixture
def world() -> World:
    return World()


def report(node: str = "0", **fields: Any) -> NodeReport:
    return NodeReport(**{"node": NodeId(node), "memory_mb": 1024, "cores": 2.0, "incarnation": "i1", **fields})


def down(node: str = "0", **fields: Any) -> NodeReport:
    return report(node, state=NodeState.OFFLINE, reason="no heartbeat for 10 s", **fields)


# -- lost -------------------------------------------------------------------------------------------------------------


def test_a_node_that_goes_offline_is_lost_once(world: World) -> None:
    world.registry.tell(report("0"), report("1"))
    world.registry.tell(down("0"), report("1"))
    world.registry.tell(down("0", warm=("x",)), report("1"))
    world.registry.tell(report("1"))
    assert world.lost == [("0", "i1", "no heartbeat for 10 s")]


def test_a_node_that_leaves_is_lost_once(world: World) -> None:
    world.registry.tell(report("0"), report("1"))
    world.registry.tell(report("1"))
    world.registry.tell(report("1"))
    assert world.lost == [("0", "i1", "it left")]
    assert [node.node for node in world.view.nodes] == ["1"]


def test_another_incarnation_means_that_the_old_one_is_lost(world: World) -> None:
    world.registry.tell(report())
    world.registry.tell(report(incarnation="i2"))
    assert world.lost == [("0", "i1", "it started anew")]
    world.registry.tell(down(incarnation="i2"))
    world.registry.tell(report(incarnation="i3"))
    assert world.lost[1:] == [("0", "i2", "no heartbeat for 10 s")], "i2 was lost when it went offline"
    assert world.view.incarnation("0") == "i3"


def test_a_node_first_seen_offline_was_never_there(world: World) -> None:
    world.registry.tell(down())
    world.registry.tell(report())
    assert world.lost == []
    assert world.view.incarnation("0") == "i1"
    assert world.view.incarnation("1") is None


def test_a_node_that_comes_back_can_be_lost_again(world: World) -> None:
    for _ in range(2):
        world.registry.tell(report())
        world.registry.tell(down())
        assert world.view.incarnation("0") is None
    assert len(world.lost) == 2


def test_who_is_told_of_a_loss_sees_the_new_picture_and_can_release(world: World) -> None:
    world.registry.tell(report("0"), report("1"))
    permit = world.view.book("0").take(REQUEST.key, REQUEST.demand)
    assert permit is not None
    seen: list[Any] = []

    def lost(node: str, incarnation: str, reason: str) -> None:
        permit.release()
        seen.append((world.place().counts, world.changes))

    world.view.on_lost(lost)
    before = world.changes
    world.registry.tell(down("0"), report("1"))
    assert seen == [({"down": 1}, before)]
    assert world.changes == before + 1
    assert world.view.book("0").used_mb == 0


# -- books ------------------------------------------------------------------------------------------------------------


def test_books_outlive_an_absence_while_permits_are_out(world: World) -> None:
    world.registry.tell(report("0"), report("1"))
    permit = world.view.book("0").take(REQUEST.key, REQUEST.demand)
    book = world.view.book("0")
    world.registry.tell()
    world.registry.tell(report("0"))
    assert world.view.book("0") is book
    assert book.used_mb == 256
    assert permit is not None
    permit.release()
    world.registry.tell()
    assert world.view.book("0") is not book, "an empty book of a node that left is forgotten"


def test_work_is_adopted_on_a_node_nobody_knows(world: World) -> None:
    permit = world.view.book("9").force(REQUEST.key, REQUEST.demand)
    assert world.view.book("9").take(REQUEST.key, REQUEST.demand) is None
    world.registry.tell(report("9"))
    assert world.view.book("9").free_mb == 1024 - 256
    permit.release()
    assert world.view.book("9").free_mb == 1024


def test_the_number_of_controllers_changes_at_run_time(world: World) -> None:
    world.registry.tell(report("0"), report("1"))
    held = [world.view.book("0").take(REQUEST.key, REQUEST.demand) for _ in range(4)]
    changes = world.changes
    world.view.share(2)
    assert world.changes == changes + 1
    assert world.view.book("0").free_mb == -512
    assert world.place().refused == {"0": "no permit free"}
    world.registry.tell(report("0"), report("1"), report("2"))
    assert world.view.book("2").budget_mb == 512
    world.view.share(1)
    assert held[0] is not None
    held[0].release()
    assert world.view.book("0").free_mb == 256
    with pytest.raises(ValueError, match="0 controllers"):
        world.view.share(0)


def test_a_node_may_change_its_size(world: World) -> None:
    world.registry.tell(report("0"), report("1"))
    world.registry.tell(report("0", memory_mb=128), report("1", memory_mb=128))
    assert world.place().counts == {"no permit free": 2}


# -- trust ------------------------------------------------------------------------------------------------------------


def test_platform_errors_and_timeouts_end_trust_with_a_reason(world: World) -> None:
    world.registry.tell(report("0"), report("1"))
    world.run("0", *[Outcome.PLATFORM_ERROR] * 4)
    assert world.place().refused == {"0": "unhealthy: 4 of its last 4 activations ended with platform errors"}
    world.run("1", *[Outcome.TIMEOUT] * 4)
    decision = world.place()
    assert decision.node is None
    assert decision.counts == {"unhealthy": 1, "unresponsive": 1}


async def test_one_activation_at_a_time_finds_out_whether_it_works_again(world: World) -> None:
    world.registry.tell(report("0"))
    world.run("0", *[Outcome.PLATFORM_ERROR] * 4)
    await world.clock.advance(RETRY_S - 1)
    assert world.place().node is None
    await world.clock.advance(1)
    assert world.place().node == "0"
    assert world.place().node == "0", "a decision alone tries nothing"
    assert world.view.book("0").take(REQUEST.key, REQUEST.demand) is not None
    assert world.place().refused == {"0": "unhealthy: one activation tries whether it works again"}
    changes = world.changes
    world.run("0", Outcome.OK)
    assert world.place().node == "0"
    assert world.changes == changes + 1, "who waits for a permit is told"
    world.run("0", *[Outcome.PLATFORM_ERROR] * 3)
    assert world.place().node == "0"


async def test_a_failed_try_and_one_of_which_nothing_is_heard(world: World) -> None:
    world.registry.tell(report("0"), down("1"))
    world.run("0", *[Outcome.TIMEOUT] * 4)
    for outcome in (Outcome.TIMEOUT, None, Outcome.PLATFORM_ERROR):
        await world.clock.advance(RETRY_S)
        assert world.place().node == "0"
        assert world.view.book("0").take(REQUEST.key, REQUEST.demand) is not None
        if outcome is not None:
            world.run("0", outcome)
        assert world.place().node is None
        await world.clock.advance(RETRY_S - 1)
        assert world.place().node is None
        await world.clock.advance(1)


async def test_a_node_that_drains_is_not_tried(world: World) -> None:
    world.registry.tell(report("0"))
    world.run("0", *[Outcome.PLATFORM_ERROR] * 4)
    world.registry.tell(report("0", state=NodeState.DRAINING, reason="the operator wants it"))
    assert "platform errors" in world.place().refused["0"]
    await world.clock.advance(RETRY_S)
    assert world.place().refused == {"0": "draining: the operator wants it"}
    world.registry.tell(report("0"))
    assert world.place().node == "0"


@pytest.mark.parametrize("absence", [down(), report(incarnation="i2"), None])
def test_a_node_that_returns_starts_with_a_clean_tally(world: World, absence: NodeReport | None) -> None:
    world.registry.tell(report())
    world.run("0", *[Outcome.PLATFORM_ERROR] * 4)
    assert world.place().node is None
    world.registry.tell(*([absence] if absence is not None else []))
    world.registry.tell(report(incarnation="i2"))
    assert world.place().node == "0"
    world.run("0", *[Outcome.PLATFORM_ERROR] * 3)
    assert world.place().node == "0"


def test_outcomes_of_another_incarnation_or_of_nobody_say_nothing(world: World) -> None:
    world.registry.tell(report(incarnation="i2"))
    for _ in range(9):
        world.view.report_outcome("0", Outcome.TIMEOUT, incarnation="i1")
        world.view.report_outcome("7", Outcome.TIMEOUT)
    assert world.place().node == "0"
    for _ in range(4):
        world.view.report_outcome("0", Outcome.TIMEOUT, incarnation="i2")
    assert world.place().node is None


# -- reports ----------------------------------------------------------------------------------------------------------


def test_equal_reports_change_nothing(world: World) -> None:
    reports = [report(str(number), warm=(REQUEST.warm_key,), headroom={10: 1.0}) for number in range(5)]
    world.registry.tell(*reports)
    changes = world.changes
    world.registry.tell(*[msgspec.json.decode(msgspec.json.encode(one), type=NodeReport) for one in reports])
    assert world.changes == changes


def test_what_a_node_says_anew_counts_at_once(world: World) -> None:
    world.registry.tell(report("0"), report("1"))
    world.registry.tell(report("0"), report("1", warm=(REQUEST.warm_key,)))
    assert (world.place().node, world.place().warm) == ("1", True)
    world.registry.tell(report("0", warm=(REQUEST.warm_key,)), report("1"))
    assert world.place().node == "0"
    world.registry.tell(report("0", kinds=("nodejs:20",), warm=(REQUEST.warm_key,)), report("1"))
    assert world.place().node == "1"
    world.registry.tell(report("0"), report("1", state=NodeState.UNHEALTHY, reason="no disk"))
    assert world.place().refused == {"1": "unhealthy: no disk"}
    world.registry.tell(report("0"), report("1", state=NodeState.UNHEALTHY, reason="no memory"))
    assert world.place().refused == {"1": "unhealthy: no memory"}


async def test_from_a_registry() -> None:
    async with MemoryRegistry() as registry:
        view = NodeView(registry)
        lost: list[str] = []
        view.on_lost(lambda node, incarnation, reason: lost.append(node))
        view.start(lambda: None)
        await registry.heartbeat(report("0"), ttl_s=60)
        await registry.heartbeat(report("1"), ttl_s=60)
        assert [node.node for node in view.nodes] == ["0", "1"]
        await registry.leave(NodeId("0"))
        assert lost == ["0"]
        view.close()
        await registry.leave(NodeId("1"))
        assert lost == ["0"]
