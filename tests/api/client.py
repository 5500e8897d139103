"""A client of the API for tests: any base URL, any credentials."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from api.platform import InProcess
from yarl import URL


@dataclass(frozen=True)
class Target:
    """`local` is the platform in this process, None for one that is elsewhere."""

    url: str
    auth: str
    other_auth: str
    namespace: str
    other_namespace: str
    local: InProcess | None

    @property
    def address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: bytes
    json: Any

    @property
    def error(self) -> str:
        return str(self.json["error"])


class Client:
    """Calls the API; every answer is checked for what all answers have in common."""

    def __init__(self, session: aiohttp.ClientSession, target: Target, auth: str | None) -> None:
        self._session = session
        self.target = target
        self.auth = auth

    def as_(self, auth: str | None) -> Client:
        return Client(self._session, self.target, auth)

    async def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        headers: dict[str, str] | None = None,
        data: Any = None,
    ) -> Answer:
        """`path` below `/api/v1/namespaces/_/`, or absolute if it begins with a slash."""
        where = path if path.startswith("/") else f"/api/v1/namespaces/_/{path}"
        sent = {"Authorization": basic(self.auth)} if self.auth is not None else {}
        sent |= headers or {}
        url = URL(f"{self.target.url}{where}", encoded=True)
        if json is not None:
            sent = {"Content-Type": "application/json"} | sent
            data = io.BytesIO(msgspec.json.encode(json))
        async with self._session.request(method, url, data=data, headers=sent, allow_redirects=False) as got:
            return check(got, await got.read())

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.call("GET", path, **more)

    async def put(self, path: str, json: Any = None, **more: Any) -> Answer:
        return await self.call("PUT", path, json, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> Answer:
        return await self.call("POST", path, json, **more)

    async def delete(self, path: str, **more: Any) -> Answer:
        return await self.call("DELETE", path, **more)


def basic(auth: str) -> str:
    return f"Basic {base64.b64encode(auth.encode()).decode()}"


def check(got: aiohttp.ClientResponse, body: bytes) -> Answer:
    assert got.headers.get("X-Request-ID"), "every answer names its transaction"
    is_json = got.headers.get("Content-Type") == "application/json"
    content: Any = msgspec.json.decode(body) if is_json and body else None
    if got.status >= 400 and is_json and got.method != "HEAD" and not _has_own_shape(got):
        assert content["code"] == got.headers["X-Request-ID"]
        assert isinstance(content["error"], str)
    return Answer(got.status, got.headers, body, content)


def _has_own_shape(got: aiohttp.ClientResponse) -> bool:
    """Failed activations and the operators' documents are no errors of the API."""
    return "x-openwhisk-activation-id" in got.headers or got.url.path in ("/health", "/invokers/ready")
