"""Short HTTP requests with a deadline, over TCP, TLS or a Unix socket."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_WITHIN_S = 5.0


def ask(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: Any = None,
    trust: Path | None = None,
    within_s: float = _WITHIN_S,
) -> tuple[int, Any]:
    """Status and decoded JSON (None where the body is not JSON); (0, None) where nobody answers in time."""
    data = None if body is None else json.dumps(body).encode()
    fields = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, fields, method=method)
    context = None if trust is None else ssl.create_default_context(cafile=str(trust))
    try:
        with urllib.request.urlopen(request, timeout=within_s, context=context) as answer:
            return answer.status, decoded(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, decoded(error.read())
    except (OSError, http.client.HTTPException):
        return 0, None


def ask_socket(path: Path, method: str, target: str, within_s: float = _WITHIN_S) -> tuple[int, Any]:
    """The same over a Unix socket."""
    connection = _UnixConnection(path, within_s)
    try:
        connection.request(method, target)
        answer = connection.getresponse()
        return answer.status, decoded(answer.read())
    except (OSError, http.client.HTTPException):
        return 0, None
    finally:
        connection.close()


def decoded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, within_s: float) -> None:
        super().__init__("localhost", timeout=within_s)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
