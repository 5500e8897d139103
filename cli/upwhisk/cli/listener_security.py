"""From settings to what a listener of ours needs: its certificate, and the token of those who read metrics."""

from __future__ import annotations

import ssl

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.secret_file import read_secret
from upwhisk.common.settings import ServerSettings, Settings
from upwhisk.controller.api.server import ListenerSecurity

_SHORTEST = 16


def security_of(settings: Settings) -> ListenerSecurity:
    """Reads the files. `ConfigurationError` names the one that cannot be used."""
    return ListenerSecurity(
        tls=_tls(settings.server),
        operators_token=_token("metrics.token_file", settings.metrics.token_file),
        disable_token=_token("server.disable_token_file", settings.server.disable_token_file),
    )


def _tls(server: ServerSettings) -> ssl.SSLContext | None:
    if not server.cert_file:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(server.cert_file, server.key_file or None, password="")
    except OSError as error:  # ssl.SSLError is one too
        why = error.strerror or str(error)
        text = f"cannot use '{server.cert_file}' with server.key_file '{server.key_file}': {why}"
        raise ConfigurationError("server.cert_file", text) from None
    return context


def _token(setting: str, file: str) -> str:
    if not file:
        return ""
    token = read_secret(file, setting)
    if len(token) < _SHORTEST:
        raise ConfigurationError(setting, f"the token in '{file}' has fewer than {_SHORTEST} characters")
    return token
