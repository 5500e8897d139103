"""Whatever is sent, wherever: never a 5xx but 501, always `error`, `code` and X-Request-ID, and the server lives on."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import msgspec
from api.client import basic
from api.platform import GUEST, in_process
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from upwhisk.common.spi.store import DocumentStore

PATHS = [
    "/",
    "/ping",
    "/api/v1/namespaces",
    "/api/v1/namespaces/_/limits",
    "/api/v1/namespaces/_/actions",
    "/api/v1/namespaces/_/actions/{name}",
    "/api/v1/namespaces/_/actions/{name}/{name}",
    "/api/v1/namespaces/{name}/actions/{name}",
    "/api/v1/namespaces/_/packages/{name}",
    "/api/v1/namespaces/_/triggers/{name}",
    "/api/v1/namespaces/_/rules/{name}",
    "/api/v1/namespaces/_/activations/{name}",
    "/api/v1/namespaces/_/activations",
    "/api/v1/web/{name}/{name}",
    "/upwhisk/v1/activations/{name}/why",
    "/{name}",
]
names = st.one_of(
    st.sampled_from(
        [
            "known",
            "_",
            "default",
            "guest",
            "0" * 32,
            "..",
            "%2F",
            "a%20",
            "%00",
            "%ff",
            "",
            "+",
        ]
    ),
    st.text(
        st.characters(codec="ascii", exclude_characters='?#% \t\r\n\\^`{}|<>"', exclude_categories=["Cc"]),
        max_size=300,
    ),
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
)
json_values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=8), v, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(
    [
        "exec",
        "parameters",
        "annotations",
        "delAnnotations",
        "limits",
        "version",
        "publish",
        "binding",
        "trigger",
        "action",
        "status",
        "kind",
        "code",
        "main",
        "image",
        "components",
        "key",
        "value",
        "init",
        "timeout",
        "memory",
        "logs",
        "path",
        "name",
        "namespace",
        "feed",
        "network",
    ]
)
shaped = st.recursive(
    json_values, lambda v: st.lists(v, max_size=3) | st.dictionaries(fields, v, max_size=6), max_leaves=12
)
bodies = st.one_of(
    shaped.map(lambda v: json.dumps(v).encode()),
    st.dictionaries(fields, shaped, max_size=6).map(lambda v: json.dumps(v).encode()),
    st.binary(max_size=200),
    st.integers(400, 3000).map(lambda n: b'{"parameters":' + b"[" * n + b"]" * n + b"}"),
    st.just(b""),
)
values = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(
            ["application/json", "text/plain", "application/json;charset=latin-1", ";", "a/b/c"]
        ),
        "Accept": st.sampled_from(["*/*", "application/json", "text/html", "a;q=b", ",,;=", "*"]),
        "X-Request-ID": values,
        "Content-Encoding": st.sampled_from(["gzip", "identity", "br"]),
        "traceparent": values,
        "X-OW-EXTRA-LOGGING": st.just("on"),
        "Authorization": st.sampled_from(["Basic x", "", basic(GUEST), "Bearer x"]),
        "Expect": st.sampled_from(["100-continue", "else"]),
    },
)
parameters = st.dictionaries(
    st.sampled_from(
        [
            "blocking",
            "result",
            "timeout",
            "overwrite",
            "force",
            "code",
            "limit",
            "skip",
            "count",
            "docs",
            "name",
            "since",
            "upto",
            "public",
        ]
    ),
    st.one_of(st.sampled_from(["true", "false", "0", "1", "-1", "201", ""]), values),
    max_size=3,
)


@st.composite
def requests(draw: Any) -> tuple[str, str, dict[str, str], dict[str, str], bytes]:
    path = draw(st.sampled_from(PATHS))
    while "{name}" in path:
        path = path.replace("{name}", draw(names), 1)
    method = draw(st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"]))
    return method, path, draw(parameters), draw(headers), draw(bodies)


async def _ask(url: str, case: tuple[str, str, dict[str, str], dict[str, str], bytes]) -> None:
    method, path, query, sent, body = case
    where = URL(url + path, encoded=True).update_query(query) if query else URL(url + path, encoded=True)
    everything = {"Authorization": basic(GUEST)} | sent
    if not everything["Authorization"].strip():
        del everything["Authorization"]
    async with aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session:
        async with session.request(
            method, where, headers=everything, data=body or None, allow_redirects=False
        ) as got:
            content = await got.read()
        assert got.status < 500 or got.status == 501 or _failed_as_asked(got), (got.status, content)
        assert got.headers["X-Request-ID"]
        if got.status >= 400 and method != "HEAD" and not _failed_as_asked(got):
            error = msgspec.json.decode(content)
            assert set(error) == {"error", "code"}
            assert error["code"] == got.headers["X-Request-ID"]
        asked = time.monotonic()
        async with session.get(f"{url}/ping") as pong:
            assert pong.status == 200
        assert time.monotonic() - asked < 1


def _failed_as_asked(got: aiohttp.ClientResponse) -> bool:
    return "x-openwhisk-activation-id" in got.headers


def test_any_request_gets_a_proper_answer(opened: AbstractAsyncContextManager[DocumentStore] | None) -> None:
    with asyncio.Runner() as runner:
        platform = in_process(opened=opened)
        local = runner.run(platform.__aenter__())
        url = f"http://127.0.0.1:{local.server.port}"

        @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
        @given(requests())
        def ask(case: tuple[str, str, dict[str, str], dict[str, str], bytes]) -> None:
            runner.run(_ask(url, case))

        known = b'{"exec": {"kind": "python:3", "code": "x"}}'
        runner.run(_ask(url, ("PUT", "/api/v1/namespaces/_/actions/known", {}, {}, known)))
        try:
            ask()
        finally:
            runner.run(platform.__aexit__(None, None, None))
