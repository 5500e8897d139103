"""Every metric that the code exposes, by asking the real collectors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from upwhisk.backends.bus.memory import MemoryBus
from upwhisk.backends.nodes.memory import MemoryRegistry
from upwhisk.backends.store.memory import MemoryStore
from upwhisk.cli.fleet_metrics import DeliveryMetrics, NodesMetrics
from upwhisk.cli.metrics import ActivationMetrics, BalancerMetrics, PoolMetrics, process_collectors
from upwhisk.cli.service_watch import ServiceWatch
from upwhisk.common.clock import SystemClock
from upwhisk.common.settings import QueueSettings
from upwhisk.controller.api.operators import RequestCollector
from upwhisk.controller.delivery.hosting import Hosting, HostingPorts
from upwhisk.controller.delivery.recorder import Recorder
from upwhisk.invoker.tally import Tally
from upwhisk.loadbalancer.balancer import Balancer
from upwhisk.loadbalancer.nodeview import NodeView

_SAMPLES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",), "gauge": ("",)}


def families() -> Iterator[Metric]:
    for collector in collectors():
        yield from collector.collect()


def sample_names() -> set[str]:
    """As queries name them."""
    return {family.name + suffix for family in families() for suffix in _SAMPLES[family.type]}


def collectors() -> tuple[Collector, ...]:
    """Of a controller, a node and a standalone, on parts that are not started."""
    clock, bus, registry, store = SystemClock(), MemoryBus(), MemoryRegistry(), MemoryStore()
    recorder = Recorder(store.activations)
    hosting = Hosting(HostingPorts(bus, registry, recorder, clock), "c", lease_s=3.0)
    return (
        RequestCollector(Counter()),
        PoolMetrics(lambda: {"waiting": 0, "memory_mb": 0}),
        ActivationMetrics(Tally()),
        BalancerMetrics(Balancer(bus, NodeView(registry), clock, QueueSettings(), policy="warm")),
        DeliveryMetrics(hosting, recorder),
        NodesMetrics(registry),
        ServiceWatch({"store": store.accepts_work}, clock),
        *process_collectors(),
    )
