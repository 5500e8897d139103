"""Requests to CouchDB: bounded in number, time and attempts; everything that goes wrong is translated here."""

from __future__ import annotations

import asyncio
import base64
import random
import re
import ssl
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from yarl import URL

from upwhisk.backends.store.couchdb_answers import DENIED, TEMPORARY, Answer, delay_s, is_crash, reason_of
from upwhisk.backends.store.couchdb_body import Body
from upwhisk.backends.store.couchdb_reach import ANSWER_S, Lane, Reach
from upwhisk.backends.store.database import unavailable
from upwhisk.common.clock import Clock, SystemClock
from upwhisk.common.errors import ConfigurationError, StoreUnavailable
from upwhisk.common.retry import RETRIES
from upwhisk.common.secret_file import read_secret
from upwhisk.common.settings import CouchDBSettings
from upwhisk.common.tls_faults import Side, tls_fault

CONNECTIONS = 32
RETRY_S = 5.0
"""A restart of CouchDB refuses connections for about 3 s."""
REQUEST_S = 10.0
LONG_S = 60.0
"""For views whose index has much to catch up with, and for large bodies."""
_CONNECT_S = 3.0
_PREFIX = re.compile(r"[a-z][a-z0-9_$()+-]*\Z")
_JSON = {"Accept": "application/json", "Content-Type": "application/json", "Accept-Encoding": "identity"}
"""Where answers are compressed (not by CouchDB itself), a feed's blank lines would be held back."""


class Unreached(StoreUnavailable):
    """No answer, or one that says it cannot; `why` in a few words. `certificate`: not trusted. `crashed`: it failed in the midst
    of this request each time."""

    def __init__(self, where: str, why: str, *, certificate: bool = False, crashed: bool = False) -> None:
        self.why, self.certificate, self.crashed = why, certificate, crashed
        super().__init__(unavailable(f"CouchDB at {where}: {why}").text)


class Denied(StoreUnavailable):
    """The user is not accepted (401), or may not (403)."""

    def __init__(self, user: str, answer: Answer) -> None:
        self.status, self.why = answer.status, reason_of(answer)
        super().__init__(unavailable(f"CouchDB refuses the user '{user}' ({self.why})").text)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """`path`: below the server's URL, escaped. `raw`: the answer is no JSON. `optional`: a refusal says nothing about
    what else the user may; it is asked once. `unbuffered`: what is sent of the answer has to arrive at once. `apart`: it
    does not wait for a connection that others use."""

    method: str
    path: str
    query: dict[str, str] = {}
    body: Body | None = None
    lane: Lane = "read"
    timeout_s: float = REQUEST_S
    raw: bool = False
    optional: bool = False
    unbuffered: bool = False
    apart: bool = False


def escaped(text: str) -> str:
    """One segment of a path. An unescaped `/` in an id would name an attachment, `+` would mean a blank."""
    return quote(text, safe="")


class CouchClient:
    """Owns the connections. `send` repeats what failed for a passing reason, for at most `RETRY_S`; while CouchDB is known
    to be out of reach everything is asked once, so that callers hear of it at once."""

    def __init__(self, settings: CouchDBSettings, reach: Reach, clock: Clock | None = None) -> None:
        self.settings = settings
        self.reach = reach
        self._clock = clock or SystemClock()
        self._session: aiohttp.ClientSession | None = None
        self._feeds: aiohttp.ClientSession | None = None
        self._base = settings.url.rstrip("/")

    def database(self, name: str) -> str:
        """The path of one of the three databases."""
        return f"/{escaped(self.settings.prefix + name)}"

    async def open(self) -> None:
        """`ConfigurationError` for settings that cannot be; nothing is asked of CouchDB yet."""
        parts = urlsplit(self._base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError("couchdb.url", f"'{_without_login(self._base)}' is no http or https URL")
        if parts.username or parts.password:
            raise ConfigurationError("couchdb.url", "holds a login; use couchdb.user and couchdb.password_file")
        if self.settings.prefix and not _PREFIX.match(self.settings.prefix):
            text = f"'{self.settings.prefix}' cannot begin a database's name: a small letter, then those, digits and _$()+-"
            raise ConfigurationError("couchdb.prefix", text)
        headers, context = await asyncio.gather(
            asyncio.to_thread(_headers, self.settings), asyncio.to_thread(_tls, self.settings)
        )
        # Feeds wait for minutes: with connections of their own they take none away from requests.
        self._session = _session(headers, context, CONNECTIONS)
        self._feeds = _session(headers, context, 8)

    async def aclose(self) -> None:
        sessions, self._session, self._feeds = (self._session, self._feeds), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    async def send(self, call: Call) -> Answer:
        """The answer, unless it says "later" or "not you": `Unreached` and `Denied` are `StoreUnavailable`."""
        patience_s = RETRY_S if self.reach.reason is None and not call.optional else 0.0
        deadline = self._clock.monotonic() + patience_s
        uncertain, attempt = False, 0
        while True:
            try:
                answer = await self._attempt(call)
            except _Failed as failure:
                delay = delay_s(attempt, random.random())  # noqa: S311 - spreads retries
                self._tell_failed(call, str(failure))
                if self._clock.monotonic() + delay > deadline:
                    raise failure.unreached(self._base) from None
                uncertain = uncertain or failure.uncertain
                attempt += 1
                RETRIES["store"] += 1
                await self._clock.sleep(delay)
            else:
                return msgspec.structs.replace(answer, uncertain=uncertain)

    async def follow(self, path: str, query: dict[str, str], heartbeat_s: float) -> Answer:
        """One wait on a feed that sends a blank line every `heartbeat_s`; never repeated here."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=3 * heartbeat_s)
        call = Call(method="GET", path=path, query=query, unbuffered=True)
        try:
            return await self._exchange(self._feeds, call, timeout)
        except _Failed as failure:
            self._tell_failed(call, str(failure))
            raise Unreached(self._base, str(failure)) from None

    async def _attempt(self, call: Call) -> Answer:
        """While CouchDB fails nobody waits for long, and who waits already is told when it turns out that it is silent."""
        limit_s = min(call.timeout_s, ANSWER_S) if self.reach.fails(call.lane) else call.timeout_s
        session = self._feeds if call.apart else self._session
        timeout = aiohttp.ClientTimeout(total=limit_s, sock_connect=_CONNECT_S)
        try:
            async with self.reach.asking(call.lane):
                return await self._exchange(session, call, timeout)
        except TimeoutError as error:
            raise _Failed.of(error) from None

    async def _exchange(
        self, session: aiohttp.ClientSession | None, call: Call, timeout: aiohttp.ClientTimeout
    ) -> Answer:
        if session is None:
            raise unavailable("it is closed")
        answer = await self._ask(session, call, timeout)
        self.reach.heard()
        if answer.status in TEMPORARY:
            raise _Failed(f"it answers {reason_of(answer)}", uncertain=True, crashed=is_crash(answer))
        if answer.status in DENIED:
            self._tell_failed(call, f"it refuses the user '{self.settings.user}' ({reason_of(answer)})")
            raise Denied(self.settings.user, answer)
        self.reach.answered(call.lane)
        return answer

    def _tell_failed(self, call: Call, why: str) -> None:
        if not call.optional:
            self.reach.failed(call.lane, f"CouchDB at {self._base}: {why}")

    async def _ask(self, session: aiohttp.ClientSession, call: Call, timeout: aiohttp.ClientTimeout) -> Answer:
        url = URL(self._base + call.path + (f"?{urlencode(call.query)}" if call.query else ""), encoded=True)
        headers = {"Accept": "*/*"} if call.raw else {}
        if call.unbuffered:
            headers["Accept-Encoding"] = "identity"  # a compressor on the way would keep the blank lines back
        if call.body is not None:
            headers["Content-Length"] = str(call.body.length)
        data = None if call.body is None else call.body.data
        try:
            async with session.request(
                call.method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                return Answer(response.status, await response.read())
        except (aiohttp.ClientError, OSError) as error:  # a timeout is an OSError
            raise _Failed.of(error) from None


class _Failed(Exception):
    """One attempt failed. `uncertain`: CouchDB may have carried it out."""

    def __init__(self, why: str, *, uncertain: bool, certificate: bool = False, crashed: bool = False) -> None:
        self.uncertain, self.certificate, self.crashed = uncertain, certificate, crashed
        super().__init__(why)

    def unreached(self, where: str) -> Unreached:
        return Unreached(where, str(self), certificate=self.certificate, crashed=self.crashed)

    @staticmethod
    def of(error: Exception) -> _Failed:
        found = tls_fault(error)
        if found is not None and found.side is Side.THEIRS:
            return _Failed(f"its certificate is not trusted ({found.why})", uncertain=False, certificate=True)
        if found is not None and found.side is Side.OURS:  # before it has read what was asked
            return _Failed(f"it wants a certificate of ours, and we have none for it ({found.why})", uncertain=False)
        if found is not None and isinstance(error, aiohttp.ClientConnectorError):
            return _Failed(f"it does not speak TLS there; is it http? ({found.why})", uncertain=False)
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return _Failed(f"no connection ({error or 'in time'})", uncertain=False)
        if isinstance(error, TimeoutError):
            return _Failed("no answer in time", uncertain=True)
        return _Failed(f"the connection broke ({error or type(error).__name__})", uncertain=True)


def _session(headers: dict[str, str], context: ssl.SSLContext | bool, connections: int) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=connections, ssl=context)
    return aiohttp.ClientSession(headers=headers, connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def _headers(settings: CouchDBSettings) -> dict[str, str]:
    if not settings.user:
        if settings.password_file:
            raise ConfigurationError("couchdb.user", "is empty, though couchdb.password_file is set")
        return _JSON
    login = f"{settings.user}:{read_secret(settings.password_file, 'couchdb.password_file')}"
    return {**_JSON, "Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}


def _tls(settings: CouchDBSettings) -> ssl.SSLContext | bool:
    if not settings.ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except OSError as error:  # ssl.SSLError is one too
        raise ConfigurationError("couchdb.ca_file", f"cannot read '{settings.ca_file}': {error.strerror}") from None


def _without_login(url: str) -> str:
    return url.rpartition("@")[2]
