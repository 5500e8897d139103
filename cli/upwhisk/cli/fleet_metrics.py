"""What a controller of a fleet shows at `/metrics` besides the API's own counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from upwhisk.common.spi.nodes import NodeRegistry, NodeReport, NodeState
from upwhisk.controller.delivery.hosting import Hosting
from upwhisk.controller.delivery.recorder import Recorder


class DeliveryMetrics(Collector):
    """Work in the logs, and records on their way to the store."""

    def __init__(self, hosting: Hosting, recorder: Recorder) -> None:
        self._hosting = hosting
        self._recorder = recorder

    def collect(self) -> Iterator[GaugeMetricFamily]:
        logs = self._hosting.logs()
        under_way = sum(len(each.ledger.pending) for each in logs)
        yield GaugeMetricFamily("upwhisk_logs_hosted", "Logs this controller owns, its own included", value=len(logs))
        yield GaugeMetricFamily("upwhisk_journalled", "Accepted activations without a record", value=under_way)
        unstored = len(self._recorder)
        yield GaugeMetricFamily("upwhisk_records_unstored", "Records that wait for the store", value=unstored)


class NodesMetrics(Collector):
    """The last picture of the registry, by state."""

    def __init__(self, registry: NodeRegistry) -> None:
        self._reports: tuple[NodeReport, ...] = ()
        registry.watch(self._update)

    def _update(self, reports: tuple[NodeReport, ...]) -> None:
        self._reports = reports

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily("upwhisk_nodes", "Nodes of the fleet", labels=["state"])
        counts = Counter(report.state for report in self._reports)
        for state in NodeState:
            family.add_metric([state.value], counts[state])
        yield family
