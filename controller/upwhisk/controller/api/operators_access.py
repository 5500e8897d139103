"""Who may see what operators look at: callers of this machine, and those who have the token. Pure."""

from __future__ import annotations

import hmac
import ipaddress

_SCHEME = "bearer "


def may_operate(remote: str | None, authorization: str | None, token: str) -> bool:
    """`remote`: the caller's address, None over a Unix socket (those are guests). Without a `token` nobody beyond this
    machine may."""
    return _is_loopback(remote) or (bool(token) and _has(authorization, token))


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
