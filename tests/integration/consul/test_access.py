"""Tokens and TLS; what goes wrong names its setting and gives no secret away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.consul.conftest import MakeSettings, report
from services.consul import Consul
from services.fixtures import started

from upwhisk.backends.nodes.consul import ConsulRegistry
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import ConsulSettings

pytestmark = pytest.mark.external_service
UNKNOWN = "0d5c0000-dead-beef-0000-00000000cafe"


@pytest.fixture(scope="module")
def secure_consul() -> Iterator[Consul]:
    with started(lambda: Consul(tls=True)) as server:
        yield server


async def refused(configuration: ConsulSettings) -> str:
    registry = ConsulRegistry(configuration)
    with pytest.raises(ConfigurationError) as refusal:
        await registry.start()
    await registry.aclose()
    return str(refusal.value)


async def test_an_unknown_token_is_one_clear_error(
    consul: Consul, settings: MakeSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    text = await refused(settings(consul, token=UNKNOWN))
    assert text.startswith("setting consul.token_file: ")
    said = capsys.readouterr()
    assert UNKNOWN not in text + said.out + said.err


async def test_no_token_at_all(consul: Consul, settings: MakeSettings) -> None:
    assert (await refused(settings(consul, token_file=""))).startswith("setting consul.token_file: ")


async def test_the_token_is_that_of_the_file(
    consul: Consul, settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment holds for other programs."""
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", UNKNOWN)
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "127.0.0.1:1")
    async with ConsulRegistry(settings(consul)) as registry:
        await registry.heartbeat(report("a"), ttl_s=10)
        assert await registry.nodes() == (report("a"),)


async def test_nobody_at_the_address(settings: MakeSettings, consul: Consul, unused_tcp_port: int) -> None:
    text = await refused(settings(consul, url=f"http://127.0.0.1:{unused_tcp_port}"))
    assert text.startswith("setting consul.url: ")
    assert str(unused_tcp_port) in text


@pytest.mark.parametrize("url", ["127.0.0.1:8500", "ftp://host", "http://"])
async def test_what_is_no_address(settings: MakeSettings, consul: Consul, url: str) -> None:
    assert (await refused(settings(consul, url=url))).startswith("setting consul.url: ")


async def test_tls(secure_consul: Consul, settings: MakeSettings) -> None:
    async with ConsulRegistry(settings(secure_consul, ca_file=str(secure_consul.ca))) as registry:
        await registry.heartbeat(report("a"), ttl_s=10)
        assert await registry.nodes() == (report("a"),)


async def test_a_stranger_as_authority(secure_consul: Consul, settings: MakeSettings) -> None:
    assert (await refused(settings(secure_consul))).startswith("setting consul.ca_file: ")


async def test_files_that_are_not_there(
    secure_consul: Consul, settings: MakeSettings, tmp_path: Path
) -> None:
    missing = str(tmp_path / "missing")
    for setting in ("token_file", "ca_file"):
        text = await refused(settings(secure_consul, **{"ca_file": str(secure_consul.ca), setting: missing}))
        assert text.startswith(f"setting consul.{setting}: ")
        assert missing in text
