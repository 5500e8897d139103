"""The HTTP listener: request -> transaction id -> route -> credentials -> handler -> answer."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import structlog
from aiohttp import web

from upwhisk.common.errors import (
    HttpError,
    MethodNotAllowed,
    NotAuthorized,
    NotFound,
    StartupError,
    TooManyRequests,
    Unavailable,
)
from upwhisk.common.ids import new_transaction_id
from upwhisk.common.resource import Resource
from upwhisk.controller.api.doors import HANDSHAKE_S, bind, close_doors, open_doors, turn_away
from upwhisk.controller.api.errors import error_reply, unexpected_reply
from upwhisk.controller.api.operators_access import may_operate
from upwhisk.controller.api.presence import Presence
from upwhisk.controller.api.protocol import ApiConnections
from upwhisk.controller.api.reply import OPERATOR_CORS, Reply, text_reply
from upwhisk.controller.api.request import BodyBudget, Reading, Request, check_accept
from upwhisk.controller.api.routing import Access, Match, Route, Router
from upwhisk.controller.api.unix_listener import bind_private
from upwhisk.controller.auth import Authenticator

log = structlog.get_logger(__name__)
_NO_ROUTE: Final = "The requested resource could not be found."
_API: Final = ("/api/v1/", "/upwhisk/v1/")
_CROWDED: Final = (TooManyRequests.status, Unavailable.status)
_MAX_TRANSACTION_ID: Final = 255
_FIRST_REQUEST_S: Final = 5.0
"""So long, after the last connection was taken, its request is waited for when the listener closes: a proxy sends a call
elsewhere that was answered 503, not one whose connection broke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSecurity:
    """`tls`: the certificate to serve with; None: plain HTTP. `operators_token`: who sends it as a bearer sees `/metrics`,
    `/invokers` and the like from beyond this machine too; empty: nobody does. `disable_token`: who sends it may `POST /disable`;
    empty: nobody."""

    tls: ssl.SSLContext | None = None
    operators_token: str = ""
    disable_token: str = ""

    @property
    def scheme(self) -> str:
        return "http" if self.tls is None else "https"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """`drain_s` bounds the wait for requests that are being handled when the listener closes. `together_s`: how long requests wait
    for company while calls are refused (`crowd.py`)."""

    host: str
    port: int
    header_timeout_s: float
    drain_s: float = 30.0
    together_s: float = 0.0
    security: ListenerSecurity = field(default_factory=ListenerSecurity)
    body_memory_bytes: int = 256 * 1024 * 1024
    """What the bodies of unfinished requests may hold together; more is answered 503."""
    unix_path: str | None = None
    """Also listen on this Unix socket: guests reach the API through it."""


class ApiServer(Resource):
    """`counts`: answers by route and status, for `/metrics`."""

    def __init__(
        self,
        settings: ListenerSettings,
        router: Router,
        authenticator: Authenticator,
        counts: Counter[tuple[str, int]],
        presence: Presence,
    ) -> None:
        self._settings = settings
        self._presence = presence
        self._router = router
        self._authenticator = authenticator
        self._counts = counts
        self._draining = False
        self._reading = Reading(settings.header_timeout_s, BodyBudget(settings.body_memory_bytes))
        self._runner: web.ServerRunner | None = None
        self._connections: ApiConnections | None = None
        self._listeners: list[socket.socket] = []

    @property
    def port(self) -> int:
        """The port that was taken; only after `start`."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    @property
    def body_bytes_free(self) -> int:
        """What is left for the bodies of unfinished requests."""
        return self._reading.budget.free

    async def start(self) -> None:
        self._connections = ApiConnections(
            self._serve, self._settings.header_timeout_s, self._settings.together_s
        )
        self._runner = web.ServerRunner(self._connections, shutdown_timeout=self._settings.drain_s)
        await self._runner.setup()
        try:
            self._listeners = await bind(self._settings.host, self._settings.port)
            for listener in self._listeners:
                await open_doors(self._runner, listener, self._settings.security.tls)
        except OSError as error:
            where = f"{self._settings.host}:{self._settings.port}"
            raise StartupError(f"cannot listen on {where}: {error.strerror or error}") from None
        if self._settings.unix_path is not None:
            await open_doors(self._runner, bind_private(Path(self._settings.unix_path)))

    def leave(self) -> None:
        """From now on `/ping` answers 503; all else goes on."""
        self._presence.leaving = True

    def drain(self) -> None:
        """From now on the API answers 503; what is being handled goes on."""
        self.leave()
        self._draining = True
        if self._connections is not None:
            self._connections.crowd.close()

    async def aclose(self) -> None:
        self.drain()
        if self._runner is None:
            return
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            turn_away(listener)
        await asyncio.sleep(HANDSHAKE_S)
        held = [connection for listener in listeners for connection in close_doors(listener)]
        for site in self._runner.sites:
            await site.stop()
        if self._connections is not None:
            await self._let_in(self._connections, held)
            await self._connections.wait_heard(_FIRST_REQUEST_S)
        await self._runner.cleanup()

    async def _let_in(self, connections: ApiConnections, held: list[socket.socket]) -> None:
        """They came before the listener closed: each is answered."""
        loop, tls = asyncio.get_running_loop(), self._settings.security.tls
        connecting = [loop.connect_accepted_socket(connections, connection, ssl=tls) for connection in held]
        await asyncio.gather(*connecting, return_exceptions=True)  # who has gone again, or speaks no TLS

    async def _serve(self, http: web.BaseRequest) -> web.StreamResponse:
        transaction_id = _transaction_id(http.headers.get("X-Request-ID"))
        if http.method == "OPTIONS":
            return cast(web.StreamResponse, self._options(http, transaction_id))
        path, _, raw_query = _target(http).partition("?")
        route = ""
        try:
            match = self._router.match(path)
            found = match.methods.get(http.method)
            if found is None:
                reply = await self._unrouted(http, path, match)
            else:
                route = found.pattern
                request = Request(http, transaction_id, (match.parameters, raw_query), self._reading)
                reply = await self._handle(http, found, request)
        except HttpError as error:
            if error.status in _CROWDED and self._connections is not None:
                self._connections.crowd.refused()
            reply = error_reply(error, transaction_id)
        except ConnectionError:
            reply = Reply(400, close=True)
        except Exception as error:  # noqa: BLE001  the last border: logged, answered as a fault of ours
            reply = unexpected_reply(error, transaction_id)
        reply.transaction_id = transaction_id
        if self._draining:
            reply.close = True
        self._counts[route, reply.status] += 1
        return cast(web.StreamResponse, reply)

    async def _handle(self, http: web.BaseRequest, route: Route, request: Request) -> Reply:
        if route.access is Access.LOGIN:
            await self._log_in(http, request)
        elif route.access is Access.OPERATOR:
            self._check_operator(http)
            reply = await route.handler(request)
            reply.cors = OPERATOR_CORS
            return reply
        try:
            return await route.handler(request)
        finally:
            if request.held:
                self._reading.budget.give_back(request.held)

    async def _log_in(self, http: web.BaseRequest, request: Request) -> None:
        headers = http.headers
        accept = headers.get("Accept")
        if accept is not None:
            check_accept(accept)
        if self._draining:
            raise Unavailable()
        credentials = headers.get("Authorization")
        identity = self._authenticator.cached(credentials)
        request.identity = identity or await self._authenticator.identify(credentials)

    def _options(self, http: web.BaseRequest, transaction_id: str) -> Reply:
        """Every path answers, also one that is not there or cannot be."""
        reply = text_reply("OK")
        reply.transaction_id = transaction_id
        try:
            match = self._router.match(_target(http).partition("?")[0])
        except HttpError:
            return reply
        if any(route.access is Access.OPERATOR for route in match.methods.values()):
            reply.cors = OPERATOR_CORS
        return reply

    async def _unrouted(self, http: web.BaseRequest, path: str, match: Match) -> Reply:
        """No handler for this path and method: 404 or 405, below the API only for those who may ask."""
        if path.startswith(_API) and not any(r.access is Access.OPEN for r in match.methods.values()):
            check_accept(http.headers.get("Accept"))
            await self._authenticator.identify(http.headers.get("Authorization"))
        if match.methods:
            raise MethodNotAllowed(tuple(match.methods))
        raise NotFound(_NO_ROUTE)

    def _check_operator(self, http: web.BaseRequest) -> None:
        token = self._settings.security.operators_token
        if not may_operate(http.remote, http.headers, token):
            raise NotAuthorized()


def _target(http: web.BaseRequest) -> str:
    """Path and query as they were sent; proxies send the absolute form."""
    target = http.raw_path
    return target if target.startswith("/") else http.rel_url.raw_path_qs


def _transaction_id(sent: str | None) -> str:
    """The caller's own id, if it is printable, of sane length and no id of ours (`sid_...`)."""
    if (
        sent
        and len(sent) <= _MAX_TRANSACTION_ID
        and not sent.startswith("sid_")
        and sent.isascii()
        and sent.isprintable()
    ):
        return sent
    return new_transaction_id()
