"""What operators look at: health, metrics, invokers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.controller.api.disabling import DisableApi
from upwhisk.controller.api.ports import Services
from upwhisk.controller.api.reply import Reply, json_reply
from upwhisk.controller.api.request import Request

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class RequestCollector(Collector):
    """Answers by route and status. Counted in a plain dictionary, read only when somebody asks."""

    def __init__(self, counts: Counter[tuple[str, int]]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "upwhisk_http_requests", "Answers of the REST API.", labels=("route", "status")
        )
        for (route, status), count in list(self._counts.items()):
            family.add_metric((route or "none", str(status)), count)
        yield family


class OperatorsApi:
    def __init__(self, services: Services, registry: CollectorRegistry, disabling: DisableApi) -> None:
        self._services = services
        self._registry = registry
        self._disabling = disabling

    async def metrics(self, _request: Request) -> Reply:
        return Reply(200, generate_latest(self._registry), _PROMETHEUS)

    async def health(self, _request: Request) -> Reply:
        """503 as long as one component is not well, so that a load balancer need not read the body."""
        components = {**await self._services.health.components(), **self._disabling.components()}
        healthy = all(component.ok for component in components.values())
        document = {
            "status": "ok" if healthy else "degraded",
            "components": {name: asdict(component) for name, component in components.items()},
        }
        return json_reply(document, 200 if healthy else 503)

    async def invokers(self, _request: Request) -> Reply:
        nodes = await self._services.nodes.nodes()
        return json_reply({_shown(index, node): _state(node) for index, node in enumerate(nodes)})

    async def healthy_count(self, _request: Request) -> Reply:
        nodes = await self._services.nodes.nodes()
        return json_reply(_healthy(nodes))

    async def ready(self, _request: Request) -> Reply:
        """Ready when every known invoker is healthy, and there is one."""
        nodes = await self._services.nodes.nodes()
        healthy = _healthy(nodes)
        if nodes and healthy == len(nodes):
            return json_reply({"healthy": f"{healthy}/{len(nodes)}"})
        return json_reply({"unhealthy": f"{len(nodes) - healthy}/{len(nodes)}"}, 500)

    async def activations(self, _request: Request) -> Reply:
        """Ids of what is in flight here."""
        return json_reply(self._services.live.in_flight())

    async def activation_count(self, _request: Request) -> Reply:
        return json_reply(len(self._services.live.in_flight()))


def _shown(index: int, node: NodeReport) -> str:
    return f"invoker{index}/{node.node}"


def _state(node: NodeReport) -> str:
    """Upstream has no word for draining; a node that takes no work is `down` to its tools."""
    return NodeState.OFFLINE.value if node.state is NodeState.DRAINING else node.state.value


def _healthy(nodes: tuple[NodeReport, ...]) -> int:
    return sum(node.state is NodeState.HEALTHY for node in nodes)
