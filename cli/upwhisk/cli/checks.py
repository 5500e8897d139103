"""Settings that are only wrong together, refused at start."""

from __future__ import annotations

from ipaddress import ip_address

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import PlacementSettings, PluginSettings, ServerSettings, Settings
from upwhisk.loadbalancer.placement import POLICIES


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it: `localhost`, or an address of 127.0.0.0/8 or ::1."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def check_listener(server: ServerSettings) -> None:
    if not is_loopback(server.host) and not server.cert_file and not server.insecure_http:
        raise ConfigurationError(
            "server.host",
            f"'{server.host}' is not loopback and this listener has no TLS: keys would travel readable. "
            "Give it a certificate (server.cert_file), put a TLS proxy before it, or allow it with --insecure-http",
        )


def check_metrics_listener(settings: Settings) -> None:
    """A node's metrics name its users' work: beyond this machine they are for those who have the token."""
    node, server = settings.node, settings.server
    if node.metrics_port is None or is_loopback(node.metrics_host):
        return
    if not settings.metrics.token_file:
        text = f"'{node.metrics_host}' is not loopback: set metrics.token_file, so that not everybody can read there"
        raise ConfigurationError("node.metrics_host", text)
    if not server.cert_file and not server.insecure_http:
        text = f"'{node.metrics_host}' is not loopback: give it a certificate (server.cert_file), or set server.insecure_http"
        raise ConfigurationError("node.metrics_host", text)


_OF_FLEETS = {"store": "couchdb", "bus": "kafka", "nodes": "consul"}


def check_embedded(plugins: PluginSettings) -> None:
    """One process has its journal in its store and hands over within itself."""
    for point, name in _OF_FLEETS.items():
        if getattr(plugins, point) == name:
            raise ConfigurationError(f"plugins.{point}", f"'{name}' is for a fleet: see 'upwhisk controller --help'")


def check_policy(placement: PlacementSettings) -> None:
    if placement.policy not in POLICIES:
        known = ", ".join(POLICIES)
        raise ConfigurationError("placement.policy", f"'{placement.policy}' is unknown; available: {known}")


def shown_host(host: str) -> str:
    """A host as part of a URL that works on this machine."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
