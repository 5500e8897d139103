"""Who may see what operators look at: callers of this machine, and those who have the token. Pure."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from typing import Final

_SCHEME: Final = "bearer "
_SPEAKS_FOR_OTHERS: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


def may_operate(remote: str | None, headers: Mapping[str, str], token: str) -> bool:
    """`remote`: the caller's address, None over a Unix socket (those are guests). Who has the `token`, from wherever; where
    there is none, whoever calls from this machine and is no proxy that speaks for others."""
    if token:
        return _has(headers.get("Authorization"), token)
    return _is_loopback(remote) and not any(name in headers for name in _SPEAKS_FOR_OTHERS)


def _has(authorization: str | None, token: str) -> bool:
    if authorization is None or authorization[: len(_SCHEME)].lower() != _SCHEME:
        return False
    given = authorization[len(_SCHEME) :].strip()
    return hmac.compare_digest(given.encode(errors="surrogateescape"), token.encode())


def _is_loopback(address: str | None) -> bool:
    try:
        return address is not None and ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
