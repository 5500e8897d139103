"""Outages of the services a process needs: seen twice a second, said in the log, counted for `/metrics`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from upwhisk.common.clock import Clock
from upwhisk.common.resource import Resource
from upwhisk.common.tasks import TaskOwner

log = structlog.get_logger(__name__)

_LOOK_S = 0.5

Problem = Callable[[], str | None]
"""Why a service cannot be worked with, None if it can. Cheap."""


@dataclass(slots=True)
class _Seen:
    """`since`: monotonic second at which the present outage was seen; None: there is none."""

    since: float | None = None
    outages: int = 0
    down_s: float = 0.0

    def down_until(self, now: float) -> float:
        return self.down_s + (now - self.since if self.since is not None else 0.0)


class ServiceWatch(Resource, Collector):
    """`services`: name -> what tells its problem. An outage shorter than half a second may go unseen."""

    def __init__(self, services: Mapping[str, Problem], clock: Clock) -> None:
        self._services = services
        self._clock = clock
        self._seen = {name: _Seen() for name in services}
        self._tasks = TaskOwner("services", bound=1)

    async def start(self) -> None:
        self._tasks.start(self._go_on(), "look")

    async def aclose(self) -> None:
        await self._tasks.aclose(grace_s=0.0)

    async def _go_on(self) -> None:
        while True:
            self.look()
            await self._clock.sleep(_LOOK_S)

    def look(self) -> None:
        now = self._clock.monotonic()
        for name, problem in self._services.items():
            why, seen = problem(), self._seen[name]
            if why is not None and seen.since is None:
                seen.since = now
                seen.outages += 1
                log.warning("a service is away", action="service.away", service=name, reason=why)
            elif why is None and seen.since is not None:
                seen.down_s = seen.down_until(now)
                log.info("a service is back", action="service.back", service=name, after_s=round(now - seen.since, 1))
                seen.since = None

    def collect(self) -> Iterator[Metric]:
        self.look()
        now = self._clock.monotonic()
        up = GaugeMetricFamily("upwhisk_service_up", "1 if the service can be worked with", labels=["service"])
        outages = CounterMetricFamily("upwhisk_service_outages", "Outages of the service", labels=["service"])
        down = CounterMetricFamily("upwhisk_service_down_seconds", "Time without the service", labels=["service"])
        for name, seen in self._seen.items():
            up.add_metric([name], float(seen.since is None))
            outages.add_metric([name], seen.outages)
            down.add_metric([name], seen.down_until(now))
        yield from (up, outages, down)
