"""Members, their health by time to live, watches and flags."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeRegistry, NodeReport, NodeState

PassTime = Callable[[float], Awaitable[None]]


def report(node: str, **more: object) -> NodeReport:
    return NodeReport(node=NodeId(node), memory_mb=1024, cores=2.0, **more)  # type: ignore[arg-type]


async def states(registry: NodeRegistry) -> dict[str, NodeState]:
    return {each.node: each.state for each in await registry.nodes()}


async def test_nodes_join_in_the_order_of_their_ids(registry: NodeRegistry) -> None:
    full = report("b", kinds=("python:3.11",), networks=("none",), warm=("x",), headroom={10: 1.5}, version="1")
    await registry.heartbeat(full, ttl_s=10)
    await registry.heartbeat(report("a"), ttl_s=10)
    assert await registry.nodes() == (report("a"), full)


async def test_a_heartbeat_renews_and_replaces(registry: NodeRegistry, pass_time: PassTime) -> None:
    await registry.heartbeat(report("a"), ttl_s=10)
    for _ in range(3):
        await pass_time(8)
        await registry.heartbeat(report("a", warm=("x",)), ttl_s=10)
    assert await registry.nodes() == (report("a", warm=("x",)),)


async def test_a_silent_node_is_offline_with_a_reason_and_comes_back(registry: NodeRegistry, pass_time: PassTime) -> None:
    await registry.heartbeat(report("a"), ttl_s=10)
    await pass_time(8)
    assert await states(registry) == {"a": NodeState.HEALTHY}
    await pass_time(3)
    [gone] = await registry.nodes()
    assert gone.state is NodeState.OFFLINE
    assert "no heartbeat for" in gone.reason
    await registry.heartbeat(report("a"), ttl_s=10)
    assert await registry.nodes() == (report("a"),)


async def test_what_a_node_says_of_itself_is_shown(registry: NodeRegistry) -> None:
    ill = report("a", state=NodeState.UNHEALTHY, reason="no space")
    await registry.heartbeat(ill, ttl_s=10)
    assert await registry.nodes() == (ill,)


async def test_what_one_node_said_last(registry: NodeRegistry) -> None:
    assert await registry.report(NodeId("n")) is None
    for incarnation in ("a.0", "b.0"):
        said = NodeReport(node=NodeId("n"), memory_mb=1, cores=1.0, incarnation=incarnation)
        await registry.heartbeat(said, ttl_s=3.0)
        assert await registry.report(NodeId("n")) == said
    await registry.leave(NodeId("n"))
    assert await registry.report(NodeId("n")) is None


async def test_who_leaves_is_forgotten(registry: NodeRegistry, pass_time: PassTime) -> None:
    await registry.heartbeat(report("a"), ttl_s=10)
    await registry.leave(NodeId("a"))
    await registry.leave(NodeId("unknown"))
    await pass_time(20)
    assert await registry.nodes() == ()


async def test_a_watcher_sees_now_and_every_change(registry: NodeRegistry, pass_time: PassTime) -> None:
    seen: list[tuple[str, ...]] = []
    end = registry.watch(lambda nodes: seen.append(tuple(f"{n.node} {n.state}" for n in nodes)))
    assert seen == [()]
    await registry.heartbeat(report("a"), ttl_s=10)
    await registry.heartbeat(report("a"), ttl_s=10)
    await registry.heartbeat(report("b"), ttl_s=5)
    await pass_time(6)
    await pass_time(6)
    await registry.heartbeat(report("b"), ttl_s=5)
    await registry.leave(NodeId("a"))
    assert seen[-1] == ("b up",)
    distinct = [each for each, next_ in zip(seen, [*seen[1:], None], strict=True) if each != next_]
    assert distinct == [
        (),
        ("a up",),
        ("a up", "b up"),
        ("a up", "b down"),
        ("a down", "b down"),
        ("a down", "b up"),
        ("b up",),
    ]
    end()
    end()
    await registry.leave(NodeId("b"))
    assert seen[-1] == ("b up",)


async def test_watchers_that_come_and_go_while_others_are_told(registry: NodeRegistry) -> None:
    told: list[str] = []

    def first(nodes: tuple[NodeReport, ...]) -> None:
        told.append("first")
        if nodes:
            end()

    end = registry.watch(first)
    registry.watch(lambda _: told.append("second"))
    await registry.heartbeat(report("a"), ttl_s=10)
    await registry.heartbeat(report("b"), ttl_s=10)
    assert told == ["first", "second", "first", "second", "second"]


async def test_flags_outlive_their_writer(registry: NodeRegistry) -> None:
    assert await registry.flag("drain/a") is None
    await registry.put_flag("drain/a", "by anna")
    await registry.heartbeat(report("a"), ttl_s=10)
    await registry.leave(NodeId("a"))
    assert await registry.flag("drain/a") == "by anna"
    await registry.put_flag("drain/a", None)
    await registry.put_flag("drain/a", None)
    assert await registry.flag("drain/a") is None


async def test_nothing_happens_after_the_end(registry: NodeRegistry, pass_time: PassTime) -> None:
    seen: list[int] = []
    await registry.heartbeat(report("a"), ttl_s=10)
    registry.watch(lambda nodes: seen.append(len(nodes)))
    await registry.aclose()
    await registry.aclose()
    await asyncio.sleep(0)
    await pass_time(20)
    assert seen == [1]


async def test_flags_are_found_by_their_beginning(registry: NodeRegistry) -> None:
    for name in ("drain/b", "drain/a", "other"):
        await registry.put_flag(name, f"text of {name}")
    assert await registry.flags("drain/") == {"drain/a": "text of drain/a", "drain/b": "text of drain/b"}
    assert await registry.flags("none/") == {}


async def test_a_claim_has_one_owner(registry: NodeRegistry) -> None:
    first = await registry.claim("log/a", "one", ttl_s=10)
    assert first is not None
    assert await registry.claim("log/a", "two", ttl_s=10) is None
    assert await registry.claim("log/b", "two", ttl_s=10) is not None
    assert await registry.holders("log/") == {"log/a": "one", "log/b": "two"}
    assert [first.lost] == [False]
    await first.release()
    await first.release()
    assert [first.lost] == [True]
    assert await registry.holders("log/") == {"log/b": "two"}
    second = await registry.claim("log/a", "two", ttl_s=10)
    assert second is not None
    await first.release()
    assert await registry.holders("log/a") == {"log/a": "two"}, "what is not held any more cannot be given back"


async def test_an_owner_may_claim_again(registry: NodeRegistry) -> None:
    first = await registry.claim("log/a", "one", ttl_s=10)
    second = await registry.claim("log/a", "one", ttl_s=10)
    assert first is not None
    assert second is not None
    assert (first.lost, second.lost) == (True, False)
    await first.release()
    assert await registry.holders("log/") == {"log/a": "one"}
