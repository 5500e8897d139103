"""One node keeps a name; one that is dead does not."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.clock import HastyClock
from fakes.homes import ended_home

from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeReport
from upwhisk.invoker.home import has_ended, home, take_name

NODE = NodeId("camera")


def report(where: str) -> NodeReport:
    return NodeReport(node=NODE, memory_mb=1, cores=1, home=where, incarnation="x.0", address="http://10.0.0.7:9000")


def test_who_lives_and_who_does_not() -> None:
    boot, namespace, pid, began = home().split("/")
    assert not has_ended(home())
    assert has_ended(f"{boot}/{namespace}/{pid}/{int(began) + 1}"), "its number is another's by now"
    assert has_ended(ended_home())
    for unknown in ("", "a/b", f"another/{namespace}/{pid}/1", f"{boot}/pid:[1]/{pid}/1", f"{boot}/{namespace}/x/1"):
        assert not has_ended(unknown), unknown


def test_a_process_that_proc_hides_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """`hidepid`: other users' processes are not shown."""
    mine = home()
    monkeypatch.setattr("upwhisk.invoker.home.Path", lambda path: Path("/nonexistent") if path.endswith("/stat") else Path(path))
    assert not has_ended(mine.rpartition("/")[0] + "/1")


async def test_a_name_that_is_free_or_was_a_dead_process() -> None:
    clock = HastyClock()
    async with MemoryRegistry(clock) as registry:
        await take_name(registry, NODE, 3.0, clock)
        await registry.heartbeat(report(ended_home()), ttl_s=3.0)
        await take_name(registry, NODE, 3.0, clock)
        assert clock.slept == []


async def test_a_process_out_of_sight_is_dead_after_its_lease() -> None:
    clock = HastyClock()
    async with MemoryRegistry(clock) as registry:
        await registry.heartbeat(report("elsewhere/pid:[1]/7/1"), ttl_s=3.0)
        await take_name(registry, NODE, 3.0, clock)
        assert 2.5 <= sum(clock.slept) <= 3.5


async def test_who_lives_keeps_its_name() -> None:
    clock = HastyClock()
    async with MemoryRegistry() as registry:
        await registry.heartbeat(report(home()), ttl_s=1000.0)
        with pytest.raises(ConfigurationError, match=r"setting node\.name: a node 'camera' is there already at http://10\.0\.0\.7"):
            await take_name(registry, NODE, 3.0, clock)
        assert sum(clock.slept) >= 3.0
