"""What a standalone shows at `/metrics` besides the API's own counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_NOT_PHASES = frozenset({"waiting", "memory_mb"})


class PoolMetrics(Collector):
    """`statistics` gives containers by phase, the number of requests that wait, and the memory taken, in MB; `problem` why no
    container can be made now."""

    def __init__(
        self, statistics: Callable[[], Mapping[str, int]], problem: Callable[[], str | None]
    ) -> None:
        self._statistics = statistics
        self._problem = problem

    def collect(self) -> Iterator[GaugeMetricFamily]:
        counts = self._statistics()
        containers = GaugeMetricFamily("upwhisk_pool_containers", "Containers of this node", labels=["phase"])
        for phase, count in counts.items():
            if phase not in _NOT_PHASES:
                containers.add_metric([phase], count)
        yield containers
        yield GaugeMetricFamily(
            "upwhisk_containers_available",
            "Whether containers can be made",
            value=float(self._problem() is None),
        )
        yield GaugeMetricFamily(
            "upwhisk_pool_waiting", "Activations that wait for a container", value=counts["waiting"]
        )
        yield GaugeMetricFamily(
            "upwhisk_pool_memory_bytes",
            "Memory promised to containers",
            value=counts["memory_mb"] * 1024 * 1024,
        )
