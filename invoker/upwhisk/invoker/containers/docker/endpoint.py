"""Where the engine is. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import DockerSettings

USUAL = "unix:///var/run/docker.sock"
_PORT_TLS = 2376


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`url`: `unix:///path` or `https://host:port`; the files are for the latter."""

    url: str
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""

    @property
    def is_tls(self) -> bool:
        return not self.url.startswith("unix://")


def endpoint_of(settings: DockerSettings, environment: Mapping[str, str]) -> Endpoint:
    """The settings' engine, else that of Docker's own variables, else the usual socket.

    Raises `ConfigurationError`: a TCP address without TLS gives root on this machine to whoever reaches it.
    """
    host = settings.host or environment.get("DOCKER_HOST", "") or USUAL
    if host.startswith("unix://"):
        if not host.removeprefix("unix://").startswith("/"):
            raise ConfigurationError("docker.host", f"'{host}' names no absolute path")
        return Endpoint(host)
    scheme, _, address = host.partition("://")
    if scheme not in ("tcp", "https") or not address.strip("/"):
        raise ConfigurationError("docker.host", f"'{host}' is neither unix:///path nor tcp://host:port")
    files = (settings.ca_file, settings.cert_file, settings.key_file)
    folder = environment.get("DOCKER_CERT_PATH", "")
    if not any(files) and folder:
        files = tuple(posixpath.join(folder, name) for name in ("ca.pem", "cert.pem", "key.pem"))  # type: ignore[assignment]
    for name, file in zip(("ca_file", "cert_file", "key_file"), files, strict=True):
        if not file:
            raise ConfigurationError(f"docker.{name}", f"is needed for {host}: an engine is spoken to over TLS, or a Unix socket")
    address = address.rstrip("/")
    port = "" if address.rpartition(":")[2].isdigit() else f":{_PORT_TLS}"
    return Endpoint(f"https://{address}{port}", *files)
