"""A node's metrics and health over HTTP, on loopback unless it is told otherwise."""

from __future__ import annotations

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.resource import Resource

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class MetricsListener(Resource):
    """`port` None: no listener; 0: a free port. `address` is known after `start`."""

    def __init__(self, port: int | None, host: str = "127.0.0.1") -> None:
        self._port = port
        self._host = host
        self._registry = CollectorRegistry()
        self._runner: web.AppRunner | None = None
        self.address = ""

    def register(self, collector: Collector) -> None:
        self._registry.register(collector)

    async def start(self) -> None:
        if self._port is None:
            return
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/ping", self._ping)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            raise ConfigurationError("node.metrics_port", f"cannot listen on {self._port}: {error.strerror}") from None
        host, port = self._runner.addresses[0][:2]
        self.address = f"http://{host}:{port}"

    async def aclose(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": _PROMETHEUS})

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.Response(text="pong")
