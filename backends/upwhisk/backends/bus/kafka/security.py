"""From the settings to what a connection needs, and from a failed first connection to the setting at fault."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from aiokafka import errors

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import KafkaSettings
from upwhisk.common.tls_faults import Side, TlsFault, tls_fault


def connection_options(settings: KafkaSettings) -> dict[str, Any]:
    """Arguments of aiokafka's connection; files are read now. Raises `ConfigurationError`."""
    options: dict[str, Any] = {"security_protocol": settings.security.upper()}
    if settings.security.endswith("ssl"):
        options["ssl_context"] = _tls(settings)
    if settings.security.startswith("sasl"):
        if not settings.user:
            raise ConfigurationError("kafka.user", f"security '{settings.security}' needs a user")
        options |= {
            "sasl_mechanism": settings.mechanism,
            "sasl_plain_username": settings.user,
            "sasl_plain_password": _password(settings),
        }
    return options


def _password(settings: KafkaSettings) -> str:
    if not settings.password_file:
        raise ConfigurationError(
            "kafka.password_file", f"security '{settings.security}' needs the file of a password"
        )
    try:
        return Path(settings.password_file).read_text().strip("\r\n")
    except (OSError, UnicodeError) as error:
        raise _unreadable("kafka.password_file", settings.password_file, error) from None


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise _unreadable("kafka.ca_file", settings.ca_file, error) from None
    if settings.cert_file:
        try:
            context.load_cert_chain(settings.cert_file, settings.key_file or None)
        except (OSError, ssl.SSLError) as error:
            raise _unreadable("kafka.cert_file", settings.cert_file, error) from None
    return context


def _unreadable(setting: str, file: str, error: Exception) -> ConfigurationError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ConfigurationError(setting, f"cannot use '{file}': {why}")


def fault_of(error: BaseException | None, settings: KafkaSettings) -> ConfigurationError | None:
    """The setting to mend if a first connection failed so; None if the broker just does not answer."""
    over_tls = tls_fault(error)
    if over_tls is not None:
        return setting_of(over_tls, settings)
    while error is not None:
        found = _fault(error, settings)
        if found is not None:
            return found
        error = error.__cause__
    return None


def setting_of(found: TlsFault, settings: KafkaSettings) -> ConfigurationError:
    match found.side:
        case Side.THEIRS:
            return ConfigurationError("kafka.ca_file", f"the broker's certificate is refused: {found.why}")
        case Side.OURS:
            what = "refuses our certificate" if settings.cert_file else "wants a certificate of ours"
            return ConfigurationError("kafka.cert_file", f"the broker {what}: {found.why}")
        case Side.NEITHER:
            text = f"'{settings.security}' needs a TLS port, the broker does not speak it there: {found.why}"
            return ConfigurationError("kafka.security", text)


def _fault(error: BaseException, settings: KafkaSettings) -> ConfigurationError | None:
    match error:
        case errors.SaslAuthenticationFailed():
            text = f"the broker refuses user '{settings.user}' with this password ({settings.mechanism})"
            return ConfigurationError("kafka.user, kafka.password_file", text)
        case errors.IllegalSaslStateError():
            text = f"'{settings.security}' logs in, and the broker lets nobody log in on this port"
            return ConfigurationError("kafka.security", text)
        case errors.UnsupportedSaslMechanismError():
            return ConfigurationError("kafka.mechanism", f"the broker does not offer {settings.mechanism}")
        case _:
            return None
