"""One request on its way through the handlers, and the bounded reading of its body."""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from aiohttp.web import BaseRequest, RequestPayloadError

from upwhisk.common.errors import (
    BadRequest,
    CallerError,
    NotAcceptable,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from upwhisk.common.model.identity import Identity
from upwhisk.controller.api.query import Query, parse_query
from upwhisk.controller.api.tracing import traceparent_of

_JSON: Final = "application/json"
_MATCHING: Final = frozenset({"*/*", "application/*", _JSON})
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_READ: Final = 64 * 1024


class RequestTimeout(CallerError):
    status = 408
    default = "The request was not received completely in time."


class BodyBudget:
    """How many bytes of unfinished requests the process holds at a time: many large uploads wait their turn outside."""

    def __init__(self, capacity_bytes: int) -> None:
        self.free = capacity_bytes

    def take(self, size: int) -> None:
        """`Unavailable` when all is taken."""
        if size > self.free:
            raise Unavailable()
        self.free -= size

    def give_back(self, size: int) -> None:
        self.free += size


class Reading(NamedTuple):
    """How bodies are read: the time one may take, and what all together may hold."""

    timeout_s: float
    budget: BodyBudget


class Request:
    """`parameters`: the decoded segments of the path that the route names. `identity` is set by the server for
    routes that need one. `held`: bytes taken from the budget, given back by the server."""

    __slots__ = (
        "_budget",
        "_raw_query",
        "_read_timeout_s",
        "held",
        "http",
        "identity",
        "parameters",
        "transaction_id",
    )

    identity: Identity

    def __init__(
        self, http: BaseRequest, transaction_id: str, match: tuple[tuple[str, ...], str], reading: Reading
    ) -> None:
        self.http = http
        self.transaction_id = transaction_id
        self.parameters, self._raw_query = match
        self._read_timeout_s, self._budget = reading
        self.held = 0

    @property
    def query(self) -> Query:
        return parse_query(self._raw_query)

    @property
    def traceparent(self) -> str:
        """To be asked once: what begins here is another trace each time."""
        return traceparent_of(self.http.headers.get("traceparent"))

    def header(self, name: str) -> str | None:
        return self.http.headers.get(name)

    @property
    def namespace(self) -> str:
        """The namespace of the path; `_` means the caller's."""
        named = self.parameters[0]
        return self.identity.namespace if named == "_" else named

    async def json_bytes(self, limit: int, *, field: str | None = None) -> bytes:
        """The body, at most `limit` bytes; empty if there is none.

        `field` names what is too large when the announced length says so. `UnsupportedMediaType` for a body that
        is not JSON, or is compressed (compressed requests are refused: no client sends them).
        """
        body = await self._read(limit, field)
        if body:
            content_type = self.http.headers.get("Content-Type")
            if content_type is not None and content_type != _JSON:
                _check_media_type(content_type)
        return body

    async def _read(self, limit: int, field: str | None) -> bytes:
        headers = self.http.headers
        self._check_length(headers.get("Content-Length"), limit, field)
        encoding = headers.get("Content-Encoding")
        if encoding is not None and encoding.lower() != "identity":
            raise UnsupportedMediaType(f"Content-Encoding: {encoding}")
        content = self.http.content
        try:
            if content.is_eof():
                body = content.read_nowait(-1)
            else:
                body = await self._read_slowly(limit)
        except (RequestPayloadError, ValueError):
            # Broken chunks, or fewer bytes than announced.
            raise BadRequest("The request's body is not valid HTTP.") from None
        if len(body) > limit:
            raise TooLarge()
        return body

    def _check_length(self, announced: str | None, limit: int, field: str | None) -> None:
        if announced is None:
            return
        length = int(announced)
        if length > limit:
            raise TooLarge(
                None if field is None else f"{field} larger than allowed: {length} > {limit} bytes."
            )

    async def _read_slowly(self, limit: int) -> bytes:
        if self.http.headers.get("Expect", "").lower() == "100-continue" and self.http.transport is not None:
            self.http.transport.write(_CONTINUE)
        parts: list[bytes] = []
        length = 0
        try:
            async with asyncio.timeout(self._read_timeout_s):
                while part := await self.http.content.read(_READ):
                    length += len(part)
                    if length > limit:
                        raise TooLarge()
                    self._budget.take(len(part))
                    self.held += len(part)
                    parts.append(part)
        except TimeoutError:
            raise RequestTimeout() from None
        return b"".join(parts)


def _check_media_type(content_type: str) -> None:
    media = content_type.partition(";")[0].strip().lower()
    if media != _JSON:
        raise UnsupportedMediaType(content_type)


def check_accept(accept: str | None) -> None:
    """`NotAcceptable` unless JSON will do."""
    if accept is None or accept in _MATCHING:
        return
    for option in accept.split(","):
        media, *rest = option.split(";")
        if media.strip().lower() in _MATCHING and not any(_is_zero_quality(p) for p in rest):
            return
    if accept.strip():
        raise NotAcceptable()


def _is_zero_quality(parameter: str) -> bool:
    name, _, value = parameter.partition("=")
    if name.strip().lower() != "q":
        return False
    try:
        return float(value) == 0.0
    except ValueError:
        return False
