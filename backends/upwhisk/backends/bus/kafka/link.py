"""One connection to a broker, with a deadline for every answer."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import ssl
from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaError

from upwhisk.backends.bus.kafka import wire
from upwhisk.common.errors import Unavailable

logging.getLogger("aiokafka").setLevel(
    logging.CRITICAL
)  # what goes wrong is raised here and said once, by us

CLOSED = "the broker closed the connection"
_IDLE_MS = 540_000
"""Below the ten minutes after which brokers close idle connections."""

_SLOWEST_BYTES_S = 8_000_000
"""Of the networks that large messages have to cross: 100 Mbit/s and something else on it."""


class Unreachable(Unavailable):
    """No broker answers; the cause is aiokafka's or the system's error."""


class _Raw:
    """A request that is bytes already, in the place of one of aiokafka's; its answer stays bytes."""

    FLEXIBLE_VERSION = False

    def __init__(self, api: tuple[int, int], body: bytes) -> None:
        self._api = api
        self._parts = [body]
        self.correlation_id = 0

    def prepare(self, versions: object) -> _Raw:
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> _Raw:
        self._parts.append(wire.header(self._api, correlation_id, client_id))
        return self

    def encode(self) -> bytes:
        """The header first, then the body."""
        return self._parts.pop()

    def parse_response_header(self, answer: Any) -> _Raw:
        self.correlation_id = int.from_bytes(answer.read(4), "big")
        return self

    @property
    def RESPONSE_TYPE(self) -> type[_Rest]:
        return _Rest


class _Rest:
    @staticmethod
    def decode(answer: Any) -> bytes:
        rest: bytes = answer.read()
        return rest


class Link:
    """`options` are those of aiokafka's connection. Every method raises `Unreachable`, and the link is dead then."""

    def __init__(self, host: str, port: int, options: dict[str, Any], *, answer_s: float) -> None:
        self.name = f"{host}:{port}"
        self._answer_s = answer_s
        self._connection = AIOKafkaConnection(
            host,
            port,
            client_id="upwhisk",
            request_timeout_ms=int(answer_s * 1000),
            max_idle_ms=_IDLE_MS,
            **options,
        )

    async def connect(self, within_s: float) -> None:
        try:
            async with asyncio.timeout(within_s):
                await self._connection.connect()
        except (OSError, KafkaError, EOFError, ValueError, AssertionError) as error:
            self.abort()
            raise Unreachable(f"{self.name}: {reason(error)}") from error
        except BaseException:
            self.abort()
            raise
        for key, version in (wire.PRODUCE, wire.FETCH):
            if not self._speaks(key, version):
                self.abort()
                raise Unreachable(f"{self.name}: the broker does not speak the protocol of Kafka 2.3 to 4")

    def _speaks(self, key: int, version: int) -> bool:
        least, most = self._connection._versions.get(key, (0, -1))
        return bool(least <= version <= most)

    @property
    def alive(self) -> bool:
        return bool(self._connection.connected())

    async def ask(self, request: Any) -> Any:
        """One of aiokafka's requests; its response."""
        try:
            return await self._connection.send(request)
        except (OSError, KafkaError, NotImplementedError) as error:
            self.abort()
            raise Unreachable(f"{self.name}: {reason(error)}") from error

    async def call(self, api: tuple[int, int], body: bytes) -> bytes:
        """A request that is bytes already; a large one has more time."""
        self._connection._request_timeout = self._answer_s + len(body) / _SLOWEST_BYTES_S
        answer: bytes = await self.ask(_Raw(api, body))
        return answer

    def abort(self) -> None:
        """At once: what is not yet written is dropped, a peer that does not read cannot hold us up."""
        connection = self._connection
        protocol = connection._protocol
        connection.close(reason=CloseReason.SHUTDOWN)
        transport = getattr(protocol, "_transport", None)
        if transport is not None:
            with contextlib.suppress(AttributeError):  # a TLS transport that is closed already, in early releases of 3.11
                transport.abort()


def reason(error: BaseException) -> str:
    """In a few words, without a traceback's worth of detail."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    cause = error.__cause__
    if isinstance(cause, OSError | EOFError):
        error = cause
    if isinstance(error, EOFError | ConnectionResetError | BrokenPipeError):
        return CLOSED
    if (
        isinstance(error, OSError)
        and not isinstance(error, ssl.SSLError)
        and (error.errno or 0) in errno.errorcode
    ):
        return os.strerror(error.errno or 0)
    return str(error) or type(error).__name__
