"""Settings that are only wrong together, refused at start."""

from __future__ import annotations

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import PlacementSettings, ServerSettings
from upwhisk.loadbalancer.placement import POLICIES

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def check_listener(server: ServerSettings) -> None:
    if server.host not in LOOPBACK and not server.insecure_http:
        raise ConfigurationError(
            "server.host",
            f"'{server.host}' is not loopback and this listener has no TLS: keys would travel readable. "
            "Put a TLS proxy before it, or allow it with --insecure-http",
        )


def check_policy(placement: PlacementSettings) -> None:
    if placement.policy not in POLICIES:
        known = ", ".join(POLICIES)
        raise ConfigurationError("placement.policy", f"'{placement.policy}' is unknown; available: {known}")


def shown_host(host: str) -> str:
    """A host as part of a URL that works on this machine."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
