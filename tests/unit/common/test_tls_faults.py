"""A service that refuses our certificate, or whose own is not trusted, or that speaks no TLS: the setting to mend is named."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fakes.clock import HastyClock
from fakes.tls_listener import TLS, plain_listener, tls_listener
from services.certificates import Authority, Certificate

from upwhisk.backends.bus.kafka.cluster import Cluster
from upwhisk.backends.bus.kafka.deadlines import Deadlines
from upwhisk.backends.nodes.consul.link import Link
from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import ConsulSettings, CouchDBSettings, DockerSettings, KafkaSettings
from upwhisk.common.tls_faults import Side, TlsFault, tls_fault
from upwhisk.invoker.containers.docker.endpoint import endpoint_of
from upwhisk.invoker.containers.docker.engine import Engine
from upwhisk.invoker.containers.docker.image_build import open_client


@dataclass(frozen=True, slots=True)
class Files:
    """What a client has in its settings."""

    ca: Path
    ours: Certificate | None

    @property
    def settings(self) -> dict[str, Any]:
        own = {} if self.ours is None else {"cert_file": str(self.ours.certificate), "key_file": str(self.ours.key)}
        return {"ca_file": str(self.ca), **own}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strangers"), "stranger")


async def kafka(port: int, files: Files) -> None:
    settings = KafkaSettings(bootstrap=(f"127.0.0.1:{port}",), security="ssl", **files.settings)
    await Cluster(settings, Deadlines()).start()


async def consul(port: int, files: Files) -> None:
    await Link(ConsulSettings(url=f"https://127.0.0.1:{port}", **files.settings)).open()


async def couchdb(port: int, files: Files) -> None:
    settings = CouchDBSettings(url=f"https://127.0.0.1:{port}", ca_file=str(files.ca))
    async with CouchStore(settings, clock=HastyClock()):
        pass


async def docker(port: int, files: Files) -> None:
    await Engine(endpoint_of(DockerSettings(host=f"tcp://127.0.0.1:{port}", **files.settings), {}), 5.0).start()


async def docker_images(port: int, files: Files) -> None:
    settings = DockerSettings(host=f"tcp://127.0.0.1:{port}", **files.settings)
    await asyncio.to_thread(open_client, endpoint_of(settings, {}), 5.0)


Service = Callable[[int, Files], Awaitable[None]]
both_versions = pytest.mark.parametrize("version", list(TLS))
every_service = pytest.mark.parametrize("service", [kafka, consul, couchdb, docker, docker_images])


def _section(service: Service) -> str:
    return service.__name__.partition("_")[0]


async def refusal(service: Service, port: int, files: Files) -> tuple[str, str]:
    with pytest.raises(ConfigurationError) as failure:
        await service(port, files)
    assert "\n" not in str(failure.value)
    return failure.value.setting, str(failure.value)


@both_versions
@pytest.mark.parametrize("service", [kafka, consul, docker, docker_images])
async def test_a_certificate_of_ours_that_is_refused(
    service: Service, version: str, authority: Authority, stranger: Authority
) -> None:
    files = Files(authority.ca, stranger.sign("foreign"))
    with tls_listener(authority, version) as port:
        setting, text = await refusal(service, port, files)
    assert setting == f"{_section(service)}.cert_file"
    assert "refuses" in text
    assert "unknown ca" in text


@pytest.mark.parametrize("service", [kafka, consul, docker, docker_images])
async def test_a_refusal_that_is_lost_with_the_connection(
    service: Service, authority: Authority, stranger: Authority
) -> None:
    """The first request crosses the alert on its way, and all that a client sees is a reset."""
    with tls_listener(authority, "1.3", deaf=True) as port:
        setting, text = await refusal(service, port, Files(authority.ca, stranger.sign("foreign")))
    assert setting == f"{_section(service)}.cert_file"
    assert "unknown ca" in text


@both_versions
@pytest.mark.parametrize("service", [kafka, consul])
async def test_a_certificate_that_is_wanted(service: Service, version: str, authority: Authority) -> None:
    with tls_listener(authority, version) as port:
        setting, text = await refusal(service, port, Files(authority.ca, None))
    assert setting == f"{_section(service)}.cert_file"
    assert "wants a certificate" in text


@both_versions
async def test_a_couchdb_that_wants_one_which_we_cannot_have(version: str, authority: Authority) -> None:
    with tls_listener(authority, version) as port:
        setting, text = await refusal(couchdb, port, Files(authority.ca, None))
    assert setting == "couchdb.url"
    assert "wants a certificate of ours" in text


@both_versions
@every_service
async def test_a_certificate_of_theirs_that_is_not_trusted(
    service: Service, version: str, authority: Authority, stranger: Authority
) -> None:
    files = Files(stranger.ca, authority.sign("platform"))
    with tls_listener(authority, version) as port:
        setting, text = await refusal(service, port, files)
    assert setting == f"{_section(service)}.ca_file"
    assert "self-signed certificate in certificate chain" in text


@pytest.mark.parametrize(
    ("service", "expected"),
    [(kafka, "kafka.security"), (consul, "consul.url"), (couchdb, "couchdb.url"), (docker, "docker.host"), (docker_images, "docker.host")],
)
async def test_tls_spoken_to_a_port_without_it(service: Service, expected: str, authority: Authority) -> None:
    with plain_listener() as port:
        setting, text = await refusal(service, port, Files(authority.ca, authority.sign("platform")))
    assert setting == expected
    assert "wrong version number" in text


def _error(reason: str | None, text: str) -> ssl.SSLError:
    error = ssl.SSLError(1, text)
    error.reason = reason  # type: ignore[assignment]
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (_error("SSLV3_ALERT_CERTIFICATE_EXPIRED", ""), TlsFault(Side.OURS, "certificate expired")),
        (_error("TLSV1_ALERT_ACCESS_DENIED", ""), TlsFault(Side.OURS, "access denied")),
        (_error("TLSV1_ALERT_PROTOCOL_VERSION", ""), TlsFault(Side.NEITHER, "tlsv1 alert protocol version")),
        (_error("RECORD_LAYER_FAILURE", ""), TlsFault(Side.NEITHER, "record layer failure")),
        (None, None),
        (ConnectionResetError(), None),
    ],
)
def test_what_tls_says_is_told_apart(error: BaseException | None, expected: TlsFault | None) -> None:
    assert tls_fault(error) == expected


def test_it_is_found_in_whatever_it_was_wrapped() -> None:
    inner = _error("TLSV1_ALERT_UNKNOWN_CA", "")
    outer = OSError(1, "[SSL: ...]")
    outer.__context__ = RuntimeError("in between")
    outer.__context__.__cause__ = inner
    assert tls_fault(outer) == TlsFault(Side.OURS, "unknown ca")
