"""The real command as a child process, and a server that writes down what it is asked."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

KEY = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:" + "a" * 64
_DEADLINE_S = 60.0
_UNSET = ("WSK_CONFIG_FILE", "UPWHISK_DATA", "UPWHISK_CONFIG", "NO_COLOR", "COLUMNS")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@dataclass
class Command:
    """Runs `upwhisk` in `folder`, which is also its home."""

    folder: Path
    url: str = ""
    key: str = KEY
    environment: dict[str, str] = field(default_factory=dict)

    def _environ(self) -> dict[str, str]:
        environ = {key: value for key, value in os.environ.items() if key not in _UNSET and not key.startswith("WHISK_")}
        environ |= {"HOME": str(self.folder), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        if self.url:
            environ |= {"WHISK_APIHOST": self.url, "WHISK_AUTH": self.key}
        return environ | self.environment

    async def start(self, *arguments: str, stdout: int | IO[bytes] = asyncio.subprocess.PIPE) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "upwhisk.cli", *arguments,
            cwd=self.folder, env=self._environ(), stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def __call__(self, *arguments: str) -> Done:
        process = await self.start(*arguments)
        async with asyncio.timeout(_DEADLINE_S):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())


@dataclass(frozen=True)
class Asked:
    line: str
    body: Any
    headers: dict[str, str]


class Recorder(ThreadingHTTPServer):
    """Answers `METHOD path?query` as told by `answers`, else 200 and `{}` (for lists `[]`)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.answers: dict[str, tuple[int, Any]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def lines(self) -> list[str]:
        """What was asked, without the part that all have in common."""
        return [one.line.replace("/api/v1/namespaces/_/", "") for one in self.asked]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no concern of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        line = f"{self.command} {self.path}"
        self.server.asked.append(Asked(line, json.loads(raw) if raw else None, dict(self.headers)))
        short = line.replace("/api/v1/namespaces/_/", "")
        is_list = self.command == "GET" and "limit=" in self.path
        status, data = self.server.answers.get(short, (200, [] if is_list else {}))
        body = b"" if data is None else data.encode() if isinstance(data, str) else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Tests read `asked` instead."""


@contextmanager
def recorder() -> Iterator[Recorder]:
    server = Recorder()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
