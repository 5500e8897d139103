"""Listeners with TLS and the operators' token, and the refusals that name a setting."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import msgspec
import pytest
from fakes.until import until
from services.certificates import Authority, Certificate

from upwhisk.cli.api_door import ApiDoor
from upwhisk.cli.checks import check_listener, check_metrics_listener, is_loopback
from upwhisk.cli.listener_security import security_of
from upwhisk.cli.metrics import BuildMetrics
from upwhisk.cli.metrics_listener import MetricsListener
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import MetricsSettings, NodeSettings, ServerSettings, Settings
from upwhisk.controller.api.operators_access import may_operate

TOKEN = "t" * 32


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Certificate:
    return authority.sign("node")


@pytest.fixture
def settings(certificate: Certificate, tmp_path: Path) -> Settings:
    (tmp_path / "token").write_text(TOKEN + "\n")
    server = ServerSettings(cert_file=str(certificate.certificate), key_file=str(certificate.key))
    return Settings(server=server, metrics=MetricsSettings(token_file=str(tmp_path / "token")))


@pytest.fixture
def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.ca))


async def test_a_node_answers_when_it_is_a_member() -> None:
    async with MetricsListener(0) as listener, aiohttp.ClientSession(listener.address) as session:
        assert (await session.get("/ping")).status == 503
        displaced = asyncio.Event()
        listener.is_member = lambda: not displaced.is_set()
        assert (await session.get("/ping")).status == 200
        displaced.set()
        assert (await session.get("/ping")).status == 503


async def test_metrics_over_tls(settings: Settings, trusting: ssl.SSLContext) -> None:
    async with MetricsListener(0, "127.0.0.1", security_of(settings)) as listener, aiohttp.ClientSession() as session:
        listener.register(BuildMetrics())
        assert listener.address.startswith("https://127.0.0.1:")
        async with session.get(f"{listener.address}/metrics", ssl=trusting) as answer:
            assert answer.status == 403, "who has no token"
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        async with session.get(f"{listener.address}/metrics", ssl=trusting, headers=bearer) as answer:
            assert (answer.status, "upwhisk_build_info" in await answer.text()) == (200, True)
        plain = listener.address.replace("https", "http")
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{plain}/metrics")


@pytest.mark.parametrize(
    ("remote", "authorization", "token", "may"),
    [
        ("127.0.0.1", None, "", True),
        ("::1", None, "", True),
        ("127.0.0.1", None, TOKEN, False),
        ("127.0.0.1", f"Bearer {TOKEN}", TOKEN, True),
        ("192.0.2.1", None, "", False),
        ("192.0.2.1", "Bearer ", "", False),
        ("192.0.2.1", f"Bearer {TOKEN}", TOKEN, True),
        ("192.0.2.1", f"bearer {TOKEN}", TOKEN, True),
        ("192.0.2.1", f"Bearer {TOKEN}x", TOKEN, False),
        ("192.0.2.1", "Bearer", TOKEN, False),
        ("192.0.2.1", TOKEN, TOKEN, False),
        ("192.0.2.1", f"Basic {TOKEN}", TOKEN, False),
        ("192.0.2.1", None, TOKEN, False),
        (None, None, TOKEN, False),
        ("fe80::1%eth0", None, TOKEN, False),
    ],
)
def test_who_may_operate(remote: str | None, authorization: str | None, token: str, may: bool) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    assert may_operate(remote, headers, token) is may


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"])
def test_a_proxy_on_the_same_machine_is_not_its_operator(name: str) -> None:
    assert not may_operate("127.0.0.1", {name: "192.0.2.1"}, "")


def test_files_that_cannot_be_used_name_their_setting(settings: Settings, tmp_path: Path) -> None:
    server = msgspec.structs.replace(settings.server, cert_file=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigurationError, match=r"server\.cert_file: cannot use .*none\.pem.*No such file"):
        security_of(msgspec.structs.replace(settings, server=server))
    (tmp_path / "short").write_text("abc\n")
    for name, says in (("short", "fewer than 16"), ("none", "No such file")):
        metrics = MetricsSettings(token_file=str(tmp_path / name))
        with pytest.raises(ConfigurationError, match=rf"metrics\.token_file.*{says}"):
            security_of(msgspec.structs.replace(settings, metrics=metrics))


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.0.0.77", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("10.0.0.1", False), ("example.org", False), ("", False)],
)  # fmt: skip
def test_what_is_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local
    if local:
        check_listener(ServerSettings(host=host))
        check_metrics_listener(Settings(node=NodeSettings(metrics_host=host)))


def test_what_may_listen_beyond_loopback(settings: Settings) -> None:
    open_node = NodeSettings(metrics_host="0.0.0.0")
    check_listener(msgspec.structs.replace(settings.server, host="0.0.0.0"))
    check_metrics_listener(msgspec.structs.replace(settings, node=open_node))
    check_metrics_listener(Settings(node=NodeSettings(metrics_host="0.0.0.0", metrics_port=None)))
    with pytest.raises(ConfigurationError, match=r"server\.host"):
        check_listener(ServerSettings(host="0.0.0.0"))
    with pytest.raises(ConfigurationError, match=r"node\.metrics_host.*metrics\.token_file"):
        check_metrics_listener(Settings(node=open_node))
    with pytest.raises(ConfigurationError, match=r"node\.metrics_host.*server\.cert_file"):
        check_metrics_listener(Settings(node=open_node, metrics=settings.metrics))


async def test_guests_reach_a_tls_api_over_plain_http(
    settings: Settings, authority: Authority, tmp_path: Path
) -> None:
    async with MetricsListener(0, "127.0.0.1", security_of(settings)) as api:
        api.is_member = lambda: True
        node = NodeSettings(api_url=api.address, api_ca_file=str(authority.ca))
        async with ApiDoor(tmp_path / "api.sock", node) as door:
            connector = aiohttp.UnixConnector(str(door.path))
            async with aiohttp.ClientSession(connector=connector) as guest, guest.get("http://api/ping") as answer:
                assert await answer.text() == "pong"
            await until(lambda: len(door._tasks) == 0)


async def test_a_door_trusts_only_its_authority(settings: Settings, tmp_path: Path) -> None:
    async with MetricsListener(0, "127.0.0.1", security_of(settings)) as api:
        other = Authority(tmp_path / "other")
        node = NodeSettings(api_url=api.address, api_ca_file=str(other.ca))
        async with ApiDoor(tmp_path / "api.sock", node) as door:
            connector = aiohttp.UnixConnector(str(door.path))
            async with aiohttp.ClientSession(connector=connector) as guest:
                with pytest.raises(aiohttp.ClientError):
                    await guest.get("http://api/ping")
    with pytest.raises(ConfigurationError, match=r"node\.api_ca_file"):
        await ApiDoor(tmp_path / "api.sock", NodeSettings(api_url="https://x", api_ca_file="/none")).start()
    with pytest.raises(ConfigurationError, match=r"node\.api_url"):
        ApiDoor(tmp_path / "api.sock", NodeSettings(api_url="ftp://x"))
