"""Operators' commands over a Unix socket that only the platform's own user can open.

One POST a command: `{"command": "user create", "arguments": {...}}` -> `{"text": "...", "code": 0}`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
import structlog
from aiohttp import web

from upwhisk.common.errors import HttpError, UpwhiskError
from upwhisk.common.resource import Resource
from upwhisk.controller.admin_answer import Answer
from upwhisk.controller.api.unix_listener import bind_private

log = structlog.get_logger(__name__)
Operation = Callable[[dict[str, Any]], Awaitable[Answer]]
MAX_BODY = 1024 * 1024
_READ_TIMEOUT_S = 10.0


class Command(msgspec.Struct, forbid_unknown_fields=True):
    command: str
    arguments: dict[str, Any] = {}


class AdminSocket(Resource):
    """`operations`: command -> what carries it out. The socket's file is replaced at start and removed at the end;
    its folder belongs to this process alone."""

    def __init__(self, path: Path, operations: Mapping[str, Operation]) -> None:
        self._path = path
        self._operations = operations
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(cast(Any, self._serve)), shutdown_timeout=5.0)
        await self._runner.setup()
        await web.SockSite(self._runner, bind_private(self._path)).start()

    async def aclose(self) -> None:
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        await runner.cleanup()
        self._path.unlink(missing_ok=True)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            command = msgspec.json.decode(await self._read(request), type=Command)
        except (msgspec.DecodeError, UnicodeDecodeError, TimeoutError) as error:
            return _reply(Answer(f"not a command: {error}", 2), 400)
        operation = self._operations.get(command.command)
        if operation is None:
            return _reply(Answer(f"unknown command '{command.command}'", 2), 404)
        try:
            return _reply(await operation(command.arguments))
        except HttpError as error:
            return _reply(Answer(error.text, 1))
        except UpwhiskError as error:
            return _reply(Answer(str(error), 1))
        except Exception as error:
            log.error("admin command failed", action="admin.failed", command=command.command, exc_info=error)
            return _reply(Answer("There was an internal server error.", 1), 500)

    @staticmethod
    async def _read(request: web.BaseRequest) -> bytes:
        parts: list[bytes] = []
        length = 0
        async with asyncio.timeout(_READ_TIMEOUT_S):
            while part := await request.content.read(64 * 1024):
                length += len(part)
                if length > MAX_BODY:
                    raise msgspec.DecodeError(f"longer than {MAX_BODY} bytes")
                parts.append(part)
        return b"".join(parts)


def _reply(answer: Answer, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), status=status, content_type="application/json")
