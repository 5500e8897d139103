"""The platform under test: a real `upwhisk standalone` in a folder of its own, and a client on one kept connection."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parent.parent
START_S = 60
STOP_S = 45
NAMESPACE = "/api/v1/namespaces/_"


class BenchmarkError(Exception):
    """The figures would mean nothing: an answer was wrong, a part is missing, a deadline has passed."""


def _terminated(*_: object) -> None:
    """Leave through every `finally`, so that nothing is left running."""
    sys.exit(143)


class Subject:
    """`with Subject() as platform` starts one and removes it with its data. `settings` are environment variables."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self._settings = dict(settings or {})
        self.data = Path(tempfile.mkdtemp(prefix="upwhisk-bench-"))
        self.process: subprocess.Popen[str] | None = None
        self.host, self.port, self.key = "127.0.0.1", 0, ""
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        self.launch(0)
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if "is ready at" not in line:
            raise BenchmarkError(f"the platform did not start: {line.strip()} (see above, or run: upwhisk doctor)")
        self.port = int(line.split(" ready at ")[1].split()[0].rpartition(":")[2])
        self.read_key()

    def launch(self, port: int) -> None:
        """Execute it and return at once."""
        signal.signal(signal.SIGTERM, _terminated)
        command = [sys.executable, "-m", "upwhisk.cli", "standalone", "--port", str(port), "--data", str(self.data)]
        environment = {**os.environ, "UPWHISK_LOG_LEVEL": "error", **self._settings}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True
        )
        self.port = port

    def read_key(self) -> None:
        lines = (self.data / ".wskprops").read_text().splitlines()
        self.key = next(one for one in lines if one.startswith("AUTH=")).removeprefix("AUTH=")

    def stop(self) -> None:
        self.end()
        shutil.rmtree(self.data, ignore_errors=True)

    def end(self) -> None:
        """Stop the process in good order; the data stay."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        process = self.process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process is not None and process.stdout is not None:
            process.stdout.close()

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(self.key.encode()).decode()

    def request(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body, on the one connection that is kept open."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.host, self.port, timeout=90)
            self._connection.connect()
        headers = {"Authorization": self.authorization}
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def put(self, path: str, document: Mapping[str, Any]) -> None:
        status, text = self.request("PUT", f"{NAMESPACE}/{path}?overwrite=true", json.dumps(document).encode())
        if status != 200:
            raise BenchmarkError(f"PUT {path}: {status} {text[:300]!r}")

    def deploy(self, name: str, code: str, **fields: Any) -> None:
        """Create or update an action. `fields`: `kind`, `image`, `limits`."""
        limits = fields.pop("limits", {})
        execution = {"kind": "python:default", "code": code, **fields}
        self.put(f"actions/{name}", {"exec": execution, "limits": limits})

    def invoke(self, name: str, body: bytes = b"{}") -> tuple[float, dict[str, Any]]:
        """(milliseconds as the client sees them, the record) of one blocking call that must succeed."""
        began = time.perf_counter()
        status, text = self.request("POST", f"{NAMESPACE}/actions/{name}?blocking=true", body)
        took_ms = (time.perf_counter() - began) * 1000
        if status != 200:
            raise BenchmarkError(f"POST {name}: {status} {text[:300]!r}")
        record: dict[str, Any] = json.loads(text)
        return took_ms, record

    def count_records(self) -> int:
        status, text = self.request("GET", f"{NAMESPACE}/activations?count=true&limit=0")
        if status != 200:
            raise BenchmarkError(f"activations could not be counted: {status} {text[:300]!r}")
        return int(json.loads(text)["activations"])

    def pool(self) -> dict[str, int]:
        """Containers by phase, from /metrics."""
        _, text = self.request("GET", "/metrics")
        found = {}
        for line in text.decode().splitlines():
            if line.startswith("upwhisk_pool_containers{"):
                label, value = line.rsplit(" ", 1)
                found[label.split('"')[1]] = int(float(value))
        if not found:
            raise BenchmarkError("/metrics does not show upwhisk_pool_containers")
        return found

    def await_prewarmed(self, deadline_s: float = 20.0) -> None:
        """Return once an unused container is ready and none is being started."""
        until = time.monotonic() + deadline_s
        while True:
            pool = self.pool()
            if pool["prewarmed"] >= 1 and pool["starting"] == 0:
                return
            if time.monotonic() > until:
                raise BenchmarkError(f"no container was prewarmed within {deadline_s:g} s: {pool}")
            time.sleep(0.02)

    def processes(self) -> list[int]:
        """The pids of the platform, its zygotes and its guests: what sits in control groups of its instance."""
        assert self.process is not None
        mark = f"upwhisk-{self._instance()}"
        found = {self.process.pid}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    groups = (entry / "cgroup").read_text()
                except OSError:
                    continue
                if mark in groups:
                    found.add(int(entry.name))
        if len(found) < 2:
            raise BenchmarkError(f"no zygote was found in a control group '{mark}'")
        return sorted(found)

    def _instance(self) -> str:
        """Its name is that of the folder whose lock it holds."""
        assert self.process is not None
        for link in Path(f"/proc/{self.process.pid}/fd").iterdir():
            target = Path(link.readlink())
            if target.name == "lock" and target.parent.parent.name.startswith("upwhisk"):
                return target.parent.name
        raise BenchmarkError("the platform holds no lock of an instance")
