"""What the parts of a process show at `/metrics`: read from their own counters when somebody asks (docs/metrics.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from upwhisk.cli.version import installed_version
from upwhisk.common.forms import UNREADABLE
from upwhisk.common.retry import RETRIES
from upwhisk.invoker.tally import Tally
from upwhisk.loadbalancer.balancer import Balancer

_NOT_PHASES = frozenset({"waiting", "memory_mb"})
_MIB = 1024 * 1024


class PoolMetrics(Collector):
    """`statistics` gives containers by phase, the number of requests that wait, and the memory taken, in MB."""

    def __init__(self, statistics: Callable[[], Mapping[str, int]]) -> None:
        self._statistics = statistics

    def collect(self) -> Iterator[Metric]:
        counts = self._statistics()
        containers = GaugeMetricFamily("upwhisk_pool_containers", "Containers of this node", labels=["phase"])
        for phase, count in counts.items():
            if phase not in _NOT_PHASES:
                containers.add_metric([phase], count)
        yield containers
        yield GaugeMetricFamily(
            "upwhisk_pool_waiting", "Activations that wait for a container", value=counts["waiting"]
        )
        yield GaugeMetricFamily(
            "upwhisk_pool_memory_bytes", "Memory promised to containers", value=counts["memory_mb"] * _MIB
        )


class ActivationMetrics(Collector):
    """What a node's activations came to, and how long their phases took."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        outcomes = CounterMetricFamily(
            "upwhisk_activations", "Activations that ended on this node", labels=["status", "start"]
        )
        for (status, start), count in list(self._tally.outcomes.items()):
            outcomes.add_metric([status, start], count)
        yield outcomes
        phases = HistogramMetricFamily(
            "upwhisk_activation_phase_seconds", "Time that activations spent in each phase", labels=["phase"]
        )
        for name, histogram in self._tally.phases.items():
            phases.add_metric([name], histogram.cumulative(), histogram.sum)
        yield phases


class BalancerMetrics(Collector):
    """A controller's work: waiting, on nodes, refused, come back, and what it has booked where."""

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer

    def collect(self) -> Iterator[Metric]:
        balancer = self._balancer
        yield GaugeMetricFamily(
            "upwhisk_activations_queued", "Activations that wait for a permit", value=balancer.queued
        )
        yield GaugeMetricFamily("upwhisk_activations_in_flight", "Activations on nodes", value=balancer.in_flight)
        yield GaugeMetricFamily("upwhisk_controllers", "Controllers that share the nodes", value=balancer.view.controllers)
        yield _counter("upwhisk_refusals", "Calls that were not accepted", "reason", balancer.refused)
        yield _counter(
            "upwhisk_hand_overs_returned", "Hand-overs to nodes without an outcome", "reason", balancer.came_back
        )
        yield from self._books()

    def _books(self) -> Iterator[Metric]:
        permits = GaugeMetricFamily("upwhisk_permits_in_use", "Permits of this controller", labels=["node"])
        booked = GaugeMetricFamily("upwhisk_node_booked_bytes", "Memory behind those permits", labels=["node"])
        total = GaugeMetricFamily("upwhisk_node_memory_bytes", "Memory that this controller may book there", labels=["node"])
        for node in self._balancer.view.nodes:
            book = node.book
            permits.add_metric([book.node], book.permits)
            booked.add_metric([book.node], book.used_mb * _MIB)
            total.add_metric([book.node], book.budget_mb * _MIB)
        yield from (permits, booked, total)


class RetryMetrics(Collector):
    """What this process has tried again."""

    def collect(self) -> Iterator[Metric]:
        yield _counter("upwhisk_retries", "Requests to a service that were tried again", "service", RETRIES)


class MessageMetrics(Collector):
    """What this process received and could not read."""

    def collect(self) -> Iterator[Metric]:
        yield _counter("upwhisk_messages_unreadable", "Messages of a form that is not read here", "message", UNREADABLE)


class BuildMetrics(Collector):
    """Which release this is."""

    def collect(self) -> Iterator[Metric]:
        yield InfoMetricFamily("upwhisk_build", "The release", value={"version": installed_version()})


def process_collectors() -> tuple[Collector, ...]:
    """What every process shows of itself: `process_*` (memory, CPU, descriptors), its release, its retries."""
    return BuildMetrics(), MessageMetrics(), RetryMetrics(), ProcessCollector(registry=None)


def _counter(name: str, text: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in list(counts.items()):
        family.add_metric([value], count)
    return family
