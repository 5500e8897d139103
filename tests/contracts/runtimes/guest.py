"""A guest's proxy as a plain child process behind a Unix socket: no sandbox, the same boundary."""

from __future__ import annotations

import base64
import fcntl
import io
import json
import os
import select
import socket
import subprocess
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from upwhisk.common.spi.containers import SENTINEL
from upwhisk.runtimes.installation import RuntimeInstallation

TIMEOUT_S = 20.0
PIPE_BYTES = 1024 * 1024
ID = "0123456789abcdef0123456789abcdef"
END = SENTINEL + "\n"


class Answer:
    """Status and body of an answer; `json` parses the body."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        self.text = body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"{self.status} {self.text[:500]}"


class Client:
    """One connection to the proxy. `None` as an answer: the connection was closed without one."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(TIMEOUT_S)
        self._socket.connect(str(path))
        self._rest = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send_post(self, path: str, body: bytes) -> None:
        head = f"POST {path} HTTP/1.1\r\nHost: guest\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.send(head.encode() + body)

    def receive(self) -> Answer | None:
        data = self._rest
        while b"\r\n\r\n" not in data:
            if not (more := self._receive_some()):
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        length = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length"))
        while len(body) < length:
            body += self._receive_some()
        self._rest = body[length:]
        return Answer(int(lines[0].split(" ")[1]), body[:length])

    def receive_raw(self) -> bytes:
        return self._receive_some()

    def at_end(self) -> bool:
        return self._receive_some() == b""

    def close(self) -> None:
        self._socket.close()

    def _receive_some(self) -> bytes:
        try:
            return self._socket.recv(1 << 18)
        except ConnectionResetError:
            return b""


class SpokenGuest(ABC):
    """A guest that is spoken to, wherever it lives. `None` as an answer: the connection was closed without one."""

    @abstractmethod
    def try_post(self, path: str, body: Any) -> Answer | None: ...

    @abstractmethod
    def logs(self) -> tuple[str, str]:
        """What waits in both streams. Whatever a run wrote is there when its answer is."""

    def post(self, path: str, body: Any) -> Answer:
        answer = self.try_post(path, body)
        assert answer is not None, f"no answer; {self.logs()}"
        return answer

    def init(self, code: str, **fields: Any) -> Answer:
        return self.post("/init", {"value": {"name": "action", "main": "main", "code": code, **fields}})

    def must_init(self, code: str, **fields: Any) -> None:
        answer = self.init(code, **fields)
        assert answer.status == 200, (answer, self.logs())

    def run(self, value: Any = None, **fields: Any) -> Answer:
        return self.post("/run", {"value": {} if value is None else value, **fields})


class Guest(SpokenGuest):
    """`async with`-less: a test waits for its guest with socket time-outs."""

    def __init__(
        self, installation: RuntimeInstallation, scratch: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.path = scratch / "guest.sock"
        self.scratch = scratch
        out, out_child = _pipe()
        err, err_child = _pipe()
        self._streams = (out, err)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.path))
            listener.listen(512)
            fd = listener.fileno()
            self.process = subprocess.Popen(
                _with_descriptor(installation.argv, fd),
                stdin=subprocess.DEVNULL,
                stdout=out_child,
                stderr=err_child,
                cwd=scratch,
                env={"TMPDIR": str(scratch), "PATH": "/usr/local/bin:/usr/bin:/bin", **(environment or {})},
                pass_fds=(fd,),
            )
        os.close(out_child)
        os.close(err_child)
        self._clients: list[Client] = []
        self._client: Client | None = None

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(TIMEOUT_S)
        for client in self._clients:
            client.close()
        for stream in self._streams:
            os.close(stream)

    def connect(self) -> Client:
        client = Client(self.path)
        self._clients.append(client)
        return client

    def try_post(self, path: str, body: Any) -> Answer | None:
        if self._client is None:
            self._client = self.connect()
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self._client.send_post(path, data)
        return self._client.receive()

    def logs(self) -> tuple[str, str]:
        """What waits in both pipes. Whatever a run wrote is there when its answer is."""
        return self._read(0), self._read(1)

    def wait_for_exit(self) -> int:
        return self.process.wait(TIMEOUT_S)

    def wait_for_log(self, stream: int, text: str) -> str:
        """Read a stream until `text` is in it."""
        found = ""
        while text not in found:
            ready, _, _ = select.select([self._streams[stream]], [], [], TIMEOUT_S)
            assert ready, f"{text!r} is not in {found!r}"
            found += self._read(stream)
        return found

    def _read(self, stream: int) -> str:
        data = b""
        try:
            while chunk := os.read(self._streams[stream], PIPE_BYTES):
                data += chunk
        except BlockingIOError:
            pass
        return data.decode()


def zipped(files: Mapping[str, str | bytes]) -> str:
    """A zip of these files, as base64."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return base64.b64encode(buffer.getvalue()).decode()


def _pipe() -> tuple[int, int]:
    ours, childs = os.pipe()
    os.set_blocking(ours, False)
    fcntl.fcntl(childs, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return ours, childs


def _with_descriptor(argv: tuple[str, ...], fd: int) -> list[str]:
    at = argv.index("--fd") + 1
    return [*argv[:at], str(fd), *argv[at + 1 :]]
