"""Clients of a stack's API: single calls, and a steady load whose failures are kept."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from types import TracebackType
from typing import Any, Self

from compose.stack import Stack

CALL_S = 70.0


class Api:
    """`url` of the API; with `ca` over TLS."""

    def __init__(self, stack: Stack, *, tls: bool = False) -> None:
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:3233"
        self._key = stack.secret("guest-key")
        ca = stack.folder / "private/ca.pem"
        self._context = ssl.create_default_context(cafile=str(ca)) if tls else None

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """Status and JSON (or text); (0, reason) where the connection failed."""
        data = None if body is None else json.dumps(body).encode()
        login = base64.b64encode(self._key.encode()).decode()
        fields = {"Authorization": f"Basic {login}", "Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url + path, data, fields, method=method)
        try:
            with urllib.request.urlopen(request, timeout=CALL_S, context=self._context) as answer:
                return answer.status, _parsed(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, _parsed(error.read())
        except OSError as error:
            return 0, str(error)

    def deploy(self, name: str, code: str, kind: str = "python:default", **annotations: Any) -> None:
        fields = {"exec": {"kind": kind, "code": code}, "annotations": [{"key": k, "value": v} for k, v in annotations.items()]}
        status, answer = self.call("PUT", f"/api/v1/namespaces/_/actions/{name}?overwrite=true", fields)
        assert status == 200, answer

    def invoke(self, name: str, arguments: Any = None) -> tuple[int, Any]:
        """The result of a blocking call."""
        return self.call("POST", f"/api/v1/namespaces/_/actions/{name}?blocking=true&result=true", arguments or {})


class Load:
    """`callers` threads that invoke `name` one call after the other; `failures` are all answers but 200."""

    def __init__(self, api: Api, name: str, callers: int = 4) -> None:
        self._api = api
        self._name = name
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._go_on) for _ in range(callers)]
        self._lock = threading.Lock()
        self.answered = 0
        self.failures: list[tuple[float, int, Any]] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(CALL_S + 5)

    def wait_answered(self, more: int, deadline_s: float = 60.0) -> None:
        """Until so many more calls were answered well."""
        wanted = self.answered + more
        deadline = time.monotonic() + deadline_s
        while self.answered < wanted:
            assert time.monotonic() < deadline, (self.answered, wanted, self.failures[-3:])
            time.sleep(0.05)

    def _go_on(self) -> None:
        while not self._over.is_set():
            status, answer = self._api.invoke(self._name, {"n": 1})
            with self._lock:
                if status == 200:
                    self.answered += 1
                else:
                    self.failures.append((time.time(), status, answer))


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")


