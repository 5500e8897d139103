"""Why TLS with a service did not come about, so that the setting at fault can be named. Pure."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import Enum


class Side(Enum):
    """Where it has to be mended."""

    THEIRS = "we do not trust the service's certificate"
    OURS = "the service does not trust our certificate, or we brought none"
    NEITHER = "no TLS is spoken there, or none that both can"


@dataclass(frozen=True, slots=True)
class TlsFault:
    """`why`: in a few words, TLS's own."""

    side: Side
    why: str


_REFUSALS = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "DECRYPT_ERROR", "HANDSHAKE_FAILURE")
"""Alerts of a service that looked at our certificate. With TLS 1.2 the last is what it says when there is none; with 1.3 all
of them come after the handshake, as answers to the first request."""

_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


def tls_fault(error: BaseException | None) -> TlsFault | None:
    """Of what a client library raised, whatever it wrapped it in; None where TLS had no part in it, or was just cut."""
    found = None
    while error is not None:
        if isinstance(error, ssl.SSLError) and not isinstance(error, _CUT):  # aiohttp's own are, too: TLS's words are in the deepest
            found = _fault(error)
        error = _beneath(error)
    return found


def _beneath(error: BaseException) -> BaseException | None:
    """urllib3 keeps what it translates as an argument alone."""
    held = next((each for each in error.args if isinstance(each, BaseException)), None)
    return error.__cause__ or error.__context__ or held


def _fault(error: ssl.SSLError) -> TlsFault:
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsFault(Side.THEIRS, str(getattr(error, "verify_message", "") or error))
    reason = str(getattr(error, "reason", None) or error)
    name = reason.upper().replace(" ", "_")  # a reason that Python does not know is a sentence
    _, alert, said = name.partition("ALERT_")
    refused = bool(alert) and any(sign in said for sign in _REFUSALS)
    words = (said if refused else reason).lower().replace("_", " ")
    return TlsFault(Side.OURS if refused else Side.NEITHER, words.partition(" (")[0])
