"""What `/metrics` says of a balancer and of outages."""

from __future__ import annotations

from fakes.clock import ManualClock
from fakes.rig import echo, rig
from fakes.until import until
from prometheus_client import CollectorRegistry

from upwhisk.cli.metrics import BalancerMetrics
from upwhisk.cli.service_watch import ServiceWatch

MIB = 1024 * 1024


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    found = registry.get_sample_value(name, labels)
    assert found is not None, (name, labels)
    return found


async def test_outages_are_counted_and_timed() -> None:
    clock, problems = ManualClock(), {"store": None, "bus": "no broker"}
    watch = ServiceWatch({name: (lambda name=name: problems[name]) for name in problems}, clock)  # type: ignore[misc]
    registry = CollectorRegistry()
    registry.register(watch)
    async with watch:
        await clock.advance(2.0)
        assert value(registry, "upwhisk_service_up", service="store") == 1
        assert value(registry, "upwhisk_service_up", service="bus") == 0
        assert value(registry, "upwhisk_service_down_seconds_total", service="bus") == 2.0
        problems["bus"] = None
        await clock.advance(10.0)
        problems["bus"] = "no broker again"
        await clock.advance(1.0)
        assert value(registry, "upwhisk_service_outages_total", service="bus") == 2
        down = value(registry, "upwhisk_service_down_seconds_total", service="bus")
        assert 2.5 <= down <= 4.0
        assert value(registry, "upwhisk_service_outages_total", service="store") == 0


async def test_a_balancer_shows_what_it_holds_and_refused() -> None:
    async with rig(memory_mb=256) as here:
        registry = CollectorRegistry()
        registry.register(BalancerMetrics(here.balancer))
        here.node.behaviours["slow"] = lambda message: None
        await here.action("slow")
        for _ in range(3):
            await here.invoke("slow", blocking=False)
        await until(lambda: len(here.node.held) == 1)
        assert value(registry, "upwhisk_permits_in_use", node="0") == 1
        assert value(registry, "upwhisk_node_booked_bytes", node="0") == 256 * MIB
        assert value(registry, "upwhisk_node_memory_bytes", node="0") == 256 * MIB
        assert value(registry, "upwhisk_activations_queued") == 2
        assert value(registry, "upwhisk_activations_in_flight") == 1
        here.balancer.stopping = True
        assert here.balancer.refusal("guest") is not None
        assert value(registry, "upwhisk_refusals_total", reason="stopping") == 1
        here.balancer.stopping = False
        for _ in range(3):
            await until(lambda: bool(here.node.held))
            message = here.node.held.pop()
            here.node.answer(message, echo(message))
        await until(lambda: value(registry, "upwhisk_permits_in_use", node="0") == 0)
        assert value(registry, "upwhisk_activations_in_flight") == 0
        assert value(registry, "upwhisk_node_booked_bytes", node="0") == 0
