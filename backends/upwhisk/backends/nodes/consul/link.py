"""The way to Consul: deadlines, errors in our own words, and whether it can be reached."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import consul.aio
import consul.base
import structlog
from consul.exceptions import ACLDisabled, ACLPermissionDenied, ConsulException

from upwhisk.common.errors import ConfigurationError, Unavailable
from upwhisk.common.secret_file import read_secret
from upwhisk.common.settings import ConsulSettings
from upwhisk.common.tls_faults import Side, TlsFault
from upwhisk.common.tls_probe import probed_fault

log = structlog.get_logger(__name__)
T = TypeVar("T")

ASK_S = 2.0
"""A registry that takes longer is as good as away: heartbeats are a few seconds apart."""
_START_S = 10.0
_PORT = 8500
_WITHOUT_SERVERS = ("No cluster leader", "No known Consul servers", "rpc error", "Not ready to serve consistent reads")
"""What an agent says that is there but cannot reach who keeps the state."""


class _Http(consul.aio.HTTPClient):  # type: ignore[misc]
    """As the library's, with TLS the way aiohttp takes it now, and consistent reads: a server that has just started answers
    others from what it has replayed of its log so far, where a name, a log or a flag looks as it did long ago."""

    def __init__(self, host: str, port: int, scheme: str, context: ssl.SSLContext | None) -> None:
        consul.base.HTTPClient.__init__(self, host, port, scheme)
        connector = aiohttp.TCPConnector(ssl=context if context is not None else True, limit=64)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    def get(self, callback: Any, path: str, params: list[tuple[str, str]] | None = None, **how: Any) -> Any:
        return super().get(callback, path, [*(params or ()), ("consistent", "1")], **how)


class _Client(consul.aio.Consul):  # type: ignore[misc]
    def __init__(self, settings: ConsulSettings, token: str, context: ssl.SSLContext | None) -> None:
        self._context = context
        parts = urlsplit(settings.url)
        super().__init__(host=parts.hostname, port=parts.port or _PORT, scheme=parts.scheme)
        self.token = (
            token or None
        )  # not as an argument: CONSUL_HTTP_TOKEN in the environment would win over it

    def http_connect(
        self, host: str, port: int, scheme: str, verify: bool | str = True, cert: Any = None
    ) -> consul.base.HTTPClient:
        return _Http(host, port, scheme, self._context)


class Link:
    """`problem` is None while the last thing asked was answered."""

    def __init__(self, settings: ConsulSettings) -> None:
        self._settings = settings
        self._client: _Client | None = None
        self.problem: str | None = "not started"
        self.outages = 0

    async def open(self) -> None:
        """`ConfigurationError` names the setting that has to be mended."""
        parts = urlsplit(self._settings.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                "consul.url", f"'{self._settings.url}' is no address of the form http://host:port"
            )
        context = tls_of(self._settings)
        self._client = _Client(self._settings, token_of(self._settings), context)
        try:
            async with asyncio.timeout(_START_S):
                await self._greet(self._client)
        except (TimeoutError, aiohttp.ClientError, OSError, ConsulException) as error:
            await self.close()
            probing = None if isinstance(error, ConsulException) else context  # it answered
            found = await asyncio.to_thread(probed_fault, error, parts.hostname, parts.port or _PORT, probing)
            raise ConfigurationError(*self._explain(error, found)) from None
        self.problem = None

    async def _greet(self, client: _Client) -> None:
        """A key that need not exist: who may not read it may do nothing here."""
        await client.kv.get(f"{self._settings.prefix}/hello")

    async def close(self) -> None:
        if self._client is not None:
            await self._client.http.close()
            self._client = None
        self.problem = "closed"

    async def ask(self, work: Callable[[_Client], Awaitable[T]], within_s: float = ASK_S) -> T:
        """`Unavailable` with the reason when there is no answer, or a refusal, within the time."""
        if self._client is None:
            raise Unavailable("The node registry is closed.")
        try:
            async with asyncio.timeout(within_s):
                answer = await work(self._client)
        except (ACLDisabled, ACLPermissionDenied) as error:
            raise self._failed(f"consul refuses the token ({error})", error) from None
        except ConsulException as error:
            if any(sign in str(error) for sign in _WITHOUT_SERVERS):
                raise self._failed(str(error), error) from None
            raise Unavailable(f"Consul could not do it: {error}") from None
        except TimeoutError as error:
            raise self._failed(f"no answer within {within_s:g} s", error) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._failed(str(error) or type(error).__name__, error) from None
        if self.problem is not None:
            log.info("the registry is back", action="consul.back")
            self.problem = None
        return answer

    def stood_still(self) -> None:
        """An answer came much later than Consul says it waits: nobody was heard meanwhile."""
        if self.problem is None:
            self.outages += 1

    def _failed(self, reason: str, error: BaseException) -> Unavailable:
        if self.problem is None:
            self.outages += 1
            log.warning("the registry is out of reach", action="consul.away", reason=reason)
        self.problem = f"Consul at {self._settings.url}: {reason}"
        return Unavailable(f"The node registry cannot be reached: {reason}.")

    def _explain(self, error: BaseException, found: TlsFault | None) -> tuple[str, str]:
        where = f"Consul at {self._settings.url}"
        if isinstance(error, ACLDisabled | ACLPermissionDenied):
            return "consul.token_file", f"{where} refuses the token: {error}"
        if found is not None:
            return self._explain_tls(where, found)
        return "consul.url", f"{where} does not answer ({str(error) or type(error).__name__})"

    def _explain_tls(self, where: str, found: TlsFault) -> tuple[str, str]:
        match found.side:
            case Side.THEIRS:
                return "consul.ca_file", f"{where}: its certificate is not trusted ({found.why})"
            case Side.OURS:
                what = "refuses our certificate" if self._settings.cert_file else "wants a certificate of ours"
                return "consul.cert_file", f"{where} {what} ({found.why})"
            case Side.NEITHER:
                return "consul.url", f"{where} does not speak TLS with us ({found.why}); is it http?"


def token_of(settings: ConsulSettings) -> str:
    """Empty where none is set. Blocking. `ConfigurationError`."""
    return read_secret(settings.token_file, "consul.token_file").strip() if settings.token_file else ""


def tls_of(settings: ConsulSettings) -> ssl.SSLContext | None:
    """None for plain HTTP. Blocking. `ConfigurationError`."""
    if urlsplit(settings.url).scheme != "https":
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError("consul.ca_file", f"cannot read '{settings.ca_file}': {error}") from None
    if settings.cert_file:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(
                "consul.cert_file", f"cannot read '{settings.cert_file}': {error}"
            ) from None
    return context
