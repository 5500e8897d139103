"""TLS to an engine, with a client certificate."""

from __future__ import annotations

import ssl

from upwhisk.common.errors import ConfigurationError
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


def _refused(setting: str, file: str, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"docker.{setting}", f"{file} cannot be used: {error.strerror or error}")
