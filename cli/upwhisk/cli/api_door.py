"""The Unix socket behind which a node's guests find the platform's API: bytes go to one of its controllers and back."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.resource import Resource
from upwhisk.common.settings import NodeSettings
from upwhisk.common.tasks import TaskOwner

log = structlog.get_logger(__name__)

_CHUNK = 64 * 1024
_CONNECT_S = 5.0
_IDLE_S = 120.0
MAX_OPEN = 256


class ApiDoor(Resource):
    """`node.api_url`: where the API is for this node; empty: guests find the door closed. They speak HTTP to it in any case."""

    def __init__(self, path: Path, node: NodeSettings) -> None:
        self.path = path
        self._url = node.api_url
        self._host, self._port = _address(node.api_url)
        self._ca_file = node.api_ca_file
        self._tls: ssl.SSLContext | None = None
        self._server: asyncio.Server | None = None
        self._tasks = TaskOwner("api-door", bound=2 * MAX_OPEN)

    async def start(self) -> None:
        if not self._url:
            return
        if self._url.startswith("https:"):
            self._tls = _tls(self._ca_file)
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._come_in, str(self.path))
        os.chmod(self.path, 0o600)

    async def aclose(self) -> None:
        if self._server is not None:
            self._server.close()
            self.path.unlink(missing_ok=True)
        await self._tasks.aclose(grace_s=0.0)

    async def _come_in(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= MAX_OPEN:
            writer.close()
            return
        self._tasks.start(self._pass_on(reader, writer), "door")

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_S):
                there, back = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        except (OSError, TimeoutError) as error:
            log.warning("the API is out of reach for guests", action="door.closed", url=self._url, reason=str(error))
            writer.close()
            return
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            writer.close()
            back.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await asyncio.wait_for(source.read(_CHUNK), _IDLE_S):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
        else:
            target.close()  # TLS has no half of a connection; a kept one would stay open for nobody
    except (OSError, TimeoutError):
        target.close()


def _address(url: str) -> tuple[str, int]:
    if not url:
        return "", 0
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError("node.api_url", f"'{url}' is no address of the form http://host:port or https://host:port")
    return parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)


def _tls(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:  # ssl.SSLError is one too
        why = error.strerror or str(error)
        raise ConfigurationError("node.api_ca_file", f"cannot read '{ca_file}': {why}") from None
