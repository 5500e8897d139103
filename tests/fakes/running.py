"""A real `upwhisk standalone` as a child process, for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_S = 30.0
STOP_S = 40.0


@dataclass
class Running:
    """`environment`: settings as `UPWHISK_*`. The same data folder can be started again after `kill`."""

    data: Path
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    url: str = ""
    key: str = ""

    @property
    def log(self) -> Path:
        return self.data.parent / f"{self.data.name}.log"

    def start(self) -> Running:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        began = self.log.stat().st_size if self.log.exists() else 0
        command = [sys.executable, "-m", "upwhisk.cli", "standalone", "--port", "0", "--data", str(self.data)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )
        self._wait_ready(began)
        return self

    def _wait_ready(self, began: int) -> None:
        assert self.process is not None
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            text = self.log.read_bytes()[began:].decode()
            if "upwhisk is ready at " in text:
                self.url = text.split("upwhisk is ready at ")[1].split()[0]
                lines = (self.data / ".wskprops").read_text().splitlines()
                self.key = next(line for line in lines if line.startswith("AUTH=")).removeprefix("AUTH=")
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"not ready; its log:\n{self.log.read_text()[-4000:]}")

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_S)

    def stop(self) -> int:
        """SIGTERM and wait; returns the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
            raise AssertionError(f"did not stop; its log:\n{self.log.read_text()[-4000:]}") from None

    def call(
        self, method: str, path: str, body: Any = None, *, timeout_s: float = 70.0, key: str | None = None
    ) -> tuple[int, Any]:
        """One API call below `/api/v1/namespaces`; the answer's JSON, or its text if it is none."""
        root = "" if path.startswith("//") else "/api/v1/namespaces"
        request = urllib.request.Request(self.url + root + path.removeprefix("/" if not root else ""), method=method)
        request.add_header("Authorization", "Basic " + b64encode((key or self.key).encode()).decode())
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout_s) as answer:
                return answer.status, _parsed(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _parsed(error.read())

    def deploy(self, name: str, code: str, kind: str = "python:default", **fields: Any) -> None:
        """Create or replace an action."""
        exec_ = {"kind": kind, "code": code, **fields.pop("exec", {})}
        status, answer = self.call("PUT", f"/_/actions/{name}?overwrite=true", {"exec": exec_, **fields})
        assert status == 200, answer

    def invoke(self, name: str, arguments: Any = None, query: str = "blocking=true") -> tuple[int, Any]:
        return self.call("POST", f"/_/actions/{name}?{query}", arguments or {})

    def record(self, id: str, *, within_s: float = 30.0) -> dict[str, Any]:
        """The record of an activation, waited for."""
        deadline = time.monotonic() + within_s
        while True:
            status, answer = self.call("GET", f"/_/activations/{id}")
            if status == 200:
                assert isinstance(answer, dict)
                return answer
            if time.monotonic() > deadline:
                raise AssertionError(f"no record of {id} within {within_s} s: {status} {answer}")
            time.sleep(0.02)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return data.decode()
