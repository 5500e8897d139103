"""A node's metrics and health over HTTP, on loopback unless it is told otherwise."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.resource import Resource
from upwhisk.controller.api.operators_access import may_operate
from upwhisk.controller.api.server import ListenerSecurity

_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class MetricsListener(Resource):
    """`port` None: no listener; 0: a free port. `address` is known after `start`. Callers beyond this machine need the
    token of operators."""

    def __init__(
        self, port: int | None, host: str = "127.0.0.1", security: ListenerSecurity = ListenerSecurity()  # noqa: B008
    ) -> None:
        self._port = port
        self._host = host
        self._security = security
        self._registry = CollectorRegistry()
        self.is_member: Callable[[], bool] = lambda: False
        """What `/ping` says: whether the node is one of its fleet. Set when it has joined."""
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
            await web.TCPSite(self._runner, self._host, self._port, ssl_context=self._security.tls).start()
        except OSError as error:
            raise ConfigurationError("node.metrics_port", f"cannot listen on {self._port}: {error.strerror}") from None
        host, port = self._runner.addresses[0][:2]
        self.address = f"{self._security.scheme}://{host}:{port}"

    async def aclose(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        if not may_operate(request.remote, request.headers, self._security.operators_token):
            return web.Response(status=403, text="the token of metrics.token_file is needed\n")
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": _PROMETHEUS})

    async def _ping(self, _request: web.Request) -> web.Response:
        if not self.is_member():
            return web.Response(status=503, text="not a member of the fleet")
        return web.Response(text="pong")
