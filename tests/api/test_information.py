"""The documents without a login, CORS, and what all answers have in common."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import stat
from pathlib import Path

import aiohttp
import pytest
from api.client import Client, basic
from api.platform import GUEST, InProcess
from prometheus_client import CollectorRegistry
from services.certificates import Authority

from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import StartupError
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.controller.api.ports import ComponentHealth
from upwhisk.controller.api.routes import api_server
from upwhisk.controller.api.server import ListenerSecurity, ListenerSettings
from upwhisk.controller.auth import Authenticator


async def test_ping(client: Client) -> None:
    answer = await client.as_(None).get("/ping")
    assert (answer.status, answer.body) == (200, b"pong")


async def test_platform_document(client: Client) -> None:
    answer = await client.as_(None).get("/", headers={"Content-Type": "application/json; charset=UTF-8"})
    document = answer.json
    assert answer.headers["Content-Type"] == "application/json"
    assert document["description"] == "OpenWhisk"
    assert document["api_paths"] == ["/api/v1"]
    assert document["support"]["slack"] == "http://slack.openwhisk.org"
    assert document["limits"]["default_max_action_memory"] == 536870912
    assert document["limits"]["max_action_duration"] == 300000
    assert len(document["limits"]) == 16
    kind = document["runtimes"]["python"][0]
    assert {"kind", "image", "deprecated", "default", "attached", "requireMain"} <= kind.keys()


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/"])
async def test_api_document_needs_no_login(client: Client, path: str) -> None:
    document = (await client.as_(None).get(path)).json
    assert document["description"] == "OpenWhisk API"
    assert (document["api_version"], document["api_version_path"]) == ("1.0.0", "v1")
    assert isinstance(document["build"], str)
    assert isinstance(document["buildno"], str)
    assert document["swagger_paths"] == {"ui": "/docs", "api-docs": "/api-docs"}


async def test_swagger_says_what_exists(client: Client) -> None:
    document = (await client.as_(None).get("/api/v1/api-docs")).json
    assert document["swagger"] == "2.0"
    assert set(document["paths"]["/namespaces/{ns}/actions/{name}"]) == {"get", "put", "delete", "post"}
    assert {"Action", "ActionExec", "ActionMeta", "ActionExecMeta", "RuleMeta", "TriggerMeta"} <= document[
        "definitions"
    ].keys()
    one, rows = document["paths"]["/namespaces/{ns}/actions/{name}"], document["paths"]["/namespaces/{ns}/activations"]
    assert one["get"]["responses"]["200"]["schema"] == {"$ref": "#/definitions/Action"}
    assert rows["get"]["responses"]["200"]["schema"] == {"type": "array", "items": {"$ref": "#/definitions/ActivationBrief"}}
    assert [each["name"] for each in one["post"]["parameters"]] == ["ns", "name", "blocking", "result", "timeout", "body"]
    named = re.findall(r"#/definitions/(\w+)", json.dumps(document))
    assert set(named) <= document["definitions"].keys()


async def test_what_lies_beside_the_api_has_a_document_of_its_own(client: Client) -> None:
    document = (await client.as_(None).get("/api-docs")).json
    assert document["basePath"] == "/"
    assert {"/", "/ping", "/health", "/invokers"} <= document["paths"].keys()
    assert not [path for path in document["paths"] if path.startswith("/api")]


@pytest.mark.parametrize(("base", "shown"), [("/api/v1", "/api/v1/namespaces/{ns}/actions/{name}"), ("", "/invokers/ready")])
async def test_documents_are_shown_to_people(client: Client, base: str, shown: str) -> None:
    """Without a login, without scripts, and without anything from elsewhere."""
    anybody = client.as_(None)
    sent = await anybody.get(f"{base}/docs")
    assert (sent.status, sent.headers["Location"]) == (308, f"{base}/docs/index.html?url={base}/api-docs")
    page = await anybody.get(sent.headers["Location"])
    assert page.headers["Content-Type"] == "text/html; charset=UTF-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    text = page.body.decode()
    assert f"<code>{shown}</code>" in text
    assert not re.search(r"<script|https?://|src=", text)
    document = (await anybody.get(f"{base}/api-docs")).json
    assert text.count("<tr>") - 1 == sum(len(operations) for operations in document["paths"].values())


async def test_transaction_id_is_taken_over(client: Client) -> None:
    answer = await client.get("actions/none", headers={"X-Request-ID": "my-own-id"})
    assert answer.headers["X-Request-ID"] == "my-own-id"
    assert answer.json == {"error": "The requested resource does not exist.", "code": "my-own-id"}


@pytest.mark.parametrize("sent", ["sid_forged", "x" * 300])
async def test_transaction_id_is_made_otherwise(client: Client, sent: str) -> None:
    made = (await client.get("/ping", headers={"X-Request-ID": sent})).headers["X-Request-ID"]
    assert made != sent
    assert len(made) == 32
    assert made.isalnum()


async def test_errors_are_pretty_printed(client: Client) -> None:
    answer = await client.get("actions/none", headers={"X-Request-ID": "t"})
    assert answer.body == b'{\n  "code": "t",\n  "error": "The requested resource does not exist."\n}'


@pytest.mark.parametrize(
    "path", ["/api/v1/namespaces/_/actions/x", "/api/v1/nowhere/at/all", "/api/v1/namespaces/_/actions/a%2F"]
)
async def test_options_below_the_api(client: Client, path: str) -> None:
    answer = await client.as_(None).call("OPTIONS", path)
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, DELETE, POST, PUT, HEAD"
    assert (
        answer.headers["Access-Control-Allow-Headers"]
        == "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent"
    )


async def test_cors_on_answers_and_errors(client: Client) -> None:
    for path in ("actions", "actions/none"):
        assert (await client.get(path)).headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "path", ["/api/v1/web/guest/default/x.json", "/api/v1/web/whisk.system/apimgmt/getApi.http"]
)
async def test_web_actions_come_later(client: Client, path: str) -> None:
    answer = await client.as_(None).get(path)
    assert answer.status == 501
    assert answer.error.endswith("is not available yet")


async def test_unknown_paths(client: Client) -> None:
    nobody = client.as_(None)
    for path in ("/nowhere", "/api/v2"):
        assert (await nobody.get(path)).status == 404
    below = "/api/v1/nowhere"
    refused = await nobody.get(below)
    assert refused.status == 401
    found = await client.get(below)
    assert (found.status, found.error) == (404, "The requested resource could not be found.")
    assert (await client.get("/api/v1/namespaces/_")).status == 404


async def test_head_is_not_get(client: Client) -> None:
    answer = await client.call("HEAD", "actions")
    assert answer.status == 405
    assert answer.headers["Allow"]


async def test_wrong_method(client: Client) -> None:
    answer = await client.post("packages/refresh", data=b"")
    assert answer.status == 405
    assert answer.error.startswith("HTTP method not allowed, supported methods: ")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "PUT", "DELETE"}


async def test_health(local: InProcess, client: Client) -> None:
    answer = await client.as_(None).get("/health")
    assert (answer.status, answer.json["status"]) == (200, "ok")
    local.health.state["store"] = ComponentHealth(False, "out of reach")
    answer = await client.as_(None).get("/health")
    assert (answer.status, answer.json["status"]) == (503, "degraded")
    assert answer.json["components"]["store"] == {"ok": False, "detail": "out of reach"}


async def test_metrics_count_answers(local: InProcess, client: Client) -> None:
    await client.get("actions")
    text = (await client.as_(None).get("/metrics")).body.decode()
    assert 'upwhisk_http_requests_total{route="/api/v1/namespaces/{ns}/actions",status="200"} 1.0' in text


async def test_invokers(local: InProcess, client: Client) -> None:
    nobody = client.as_(None)
    none = await nobody.get("/invokers/ready")
    assert (none.status, none.json) == (500, {"unhealthy": "0/0"})
    await local.registry.heartbeat(NodeReport(node=NodeId("0"), memory_mb=1, cores=1), ttl_s=1)
    assert (await nobody.get("/invokers")).json == {"invoker0/0": "up"}
    assert (await nobody.get("/invokers/healthy/count")).json == 1
    assert (await nobody.get("/invokers/ready")).json == {"healthy": "1/1"}
    ill = NodeReport(node=NodeId("1"), memory_mb=1, cores=1, state=NodeState.UNHEALTHY)
    await local.registry.heartbeat(ill, ttl_s=1)
    assert (await nobody.get("/invokers")).json == {"invoker0/0": "up", "invoker1/1": "unhealthy"}
    answer = await nobody.get("/invokers/ready")
    assert (answer.status, answer.json) == (500, {"unhealthy": "1/2"})


async def test_what_is_in_flight(local: InProcess, client: Client) -> None:
    nobody = client.as_(None)
    assert (await nobody.get("/activation")).json == []
    local.live.states["guest", "a" * 32] = {"state": "queued"}
    assert (await nobody.get("/activation")).json == ["a" * 32]
    assert (await nobody.get("/activation/count")).json == 1


async def test_draining_answers_503(local: InProcess, client: Client) -> None:
    local.server.leave()
    assert ((await client.get("/ping")).status, (await client.get("actions")).status) == (503, 200)
    local.server.drain()
    answer = await client.get("actions")
    assert answer.status == 503
    assert answer.error.startswith("The server is currently unavailable")
    assert (await client.get("/ping")).status == 503


async def test_who_was_connected_when_the_listener_closed_is_answered(local: InProcess) -> None:
    """The kernel has connection and request, the loop has not seen them: a proxy may send that call elsewhere."""
    request = b"GET /api/v1/namespaces HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", local.server.port)) as caller:
        caller.sendall(request)
        await local.server.aclose()
        caller.settimeout(5)
        assert (await asyncio.to_thread(caller.recv, 4096)).startswith(b"HTTP/1.1 503 ")


async def test_a_port_in_use(local: InProcess) -> None:
    settings = ListenerSettings(host="127.0.0.1", port=local.server.port, header_timeout_s=1)
    server = api_server(
        settings, local.services, Authenticator(local.subjects, SystemClock()), CollectorRegistry()
    )
    with pytest.raises(StartupError, match=r"cannot listen on 127\.0\.0\.1:"):
        await server.start()
    await server.aclose()


async def test_the_unix_socket_for_guests(local: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    settings = ListenerSettings(host="127.0.0.1", port=0, header_timeout_s=1, unix_path=str(path))
    authenticator = Authenticator(local.subjects, SystemClock())
    async with (
        api_server(settings, local.services, authenticator, CollectorRegistry()),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
    ):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with session.get("http://api/ping") as got:
            assert await got.read() == b"pong"
        async with session.get("http://api/metrics") as got:
            assert got.status == 403


async def test_the_api_over_tls(local: InProcess, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    signed = authority.sign("api")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(signed.certificate, signed.key)
    settings = ListenerSettings(host="127.0.0.1", port=0, header_timeout_s=1, security=ListenerSecurity(tls=tls))
    server = api_server(settings, local.services, Authenticator(local.subjects, SystemClock()), CollectorRegistry())
    trusting = ssl.create_default_context(cafile=str(authority.ca))
    headers = {"Authorization": basic(GUEST)}
    async with server, aiohttp.ClientSession(headers=headers) as session:
        where = f"https://127.0.0.1:{server.port}/api/v1/namespaces"
        async with session.get(where, ssl=trusting) as got:
            assert (got.status, await got.json()) == (200, ["guest"])
        with pytest.raises(aiohttp.ClientError):
            await session.get(where.replace("https", "http"))


async def test_bodies_of_unfinished_requests_are_bounded_together(local: InProcess) -> None:
    capacity = 300_000
    settings = ListenerSettings(host="127.0.0.1", port=0, header_timeout_s=5, body_memory_bytes=capacity)
    authenticator = Authenticator(local.subjects, SystemClock())
    server = api_server(settings, local.services, authenticator, CollectorRegistry())
    head = "PUT /api/v1/namespaces/_/triggers/x HTTP/1.1\r\nHost: x\r\nContent-Length: 200002\r\n"
    start = f"{head}Authorization: {basic(GUEST)}\r\n\r\n".encode() + b"{" + b" " * 200_000
    async with server, asyncio.timeout(5):
        first, upload = await asyncio.open_connection("127.0.0.1", server.port)
        upload.write(start)
        while server.body_bytes_free > capacity - 200_001:
            await asyncio.sleep(0)
        second, refused = await asyncio.open_connection("127.0.0.1", server.port)
        refused.write(start)
        assert b" 503 " in await second.readline()
        upload.write(b"}")
        assert b" 200 " in await first.readline()
        assert server.body_bytes_free == capacity
        for writer in (upload, refused):
            writer.close()
            await writer.wait_closed()
