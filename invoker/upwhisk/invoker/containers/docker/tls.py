"""TLS to an engine, with a client certificate; and which setting is at fault when an engine does not answer."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from upwhisk.common.errors import ConfigurationError, ContainerError
from upwhisk.common.tls_faults import Side, TlsFault, tls_fault
from upwhisk.common.tls_probe import probed_fault
from upwhisk.invoker.containers.docker.causes import cause_of
from upwhisk.invoker.containers.docker.endpoint import Endpoint


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """Raises `ConfigurationError` that names the file which cannot be used."""
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_file)
    except OSError as error:
        raise _refused("ca_file", endpoint.ca_file, error) from None
    try:
        context.load_cert_chain(endpoint.cert_file, endpoint.key_file)
    except OSError as error:
        raise _refused("cert_file", f"{endpoint.cert_file} with {endpoint.key_file}", error) from None
    return context


def unusable(endpoint: Endpoint, error: Exception) -> ConfigurationError:
    """For the first questions to an engine, which decide whether a node can start. Blocking: asks once more over TLS."""
    found = _probed(endpoint, error) if endpoint.is_tls else None
    if found is not None and found.side is Side.THEIRS:
        text = f"the certificate of the engine at {endpoint.url} is not trusted with {endpoint.ca_file}: {found.why}"
        return ConfigurationError("docker.ca_file", text)
    if found is not None and found.side is Side.OURS:
        text = f"the engine at {endpoint.url} refuses {endpoint.cert_file}: {found.why}"
        return ConfigurationError("docker.cert_file", text)
    why = str(error) if isinstance(error, ContainerError) else cause_of(error)
    return ConfigurationError("docker.host", f"the container engine at {endpoint.url} cannot be used: {why}")


def _probed(endpoint: Endpoint, error: Exception) -> TlsFault | None:
    parts = urlsplit(endpoint.url)
    if not parts.hostname or not parts.port:
        return tls_fault(error)
    return probed_fault(error, parts.hostname, parts.port, tls_context(endpoint))


def _refused(setting: str, file: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"docker.{setting}", f"{file} cannot be used: {error.strerror or error}")
