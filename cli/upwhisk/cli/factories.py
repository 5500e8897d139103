"""Makes the container factory that the settings name."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import urlsplit

import structlog

from upwhisk.cli.container_choice import DOCKER
from upwhisk.cli.node_runtimes import NodeRuntimes
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.ids import new_instance_id
from upwhisk.common.model.action import BLACKBOX
from upwhisk.common.plugins import load
from upwhisk.common.settings import GuestSettings, Settings
from upwhisk.common.spi.containers import ContainerFactory
from upwhisk.invoker.containers.bounds import GuestBounds, NetworkSettings

log = structlog.get_logger(__name__)


def make_factory(runtimes: NodeRuntimes, api_socket: str) -> ContainerFactory:
    """`api_socket`: the Unix socket of the platform's API, which guests reach through a relay."""
    settings = runtimes.settings
    guest, node = settings.guest, settings.node
    bounds = GuestBounds(
        scratch_mb=guest.scratch_mb,
        processes=guest.processes,
        open_files=guest.open_files,
        cores=guest.cpu_cores,
        idle=node.kind == "harvest",
    )
    network = replace(network_of(guest, api_socket), closed=addresses_of(services_of(settings)))
    name = settings.plugins.containers
    make = load("containers", name)
    factory: ContainerFactory
    if name == DOCKER:
        kinds = (*runtimes.manifest.kinds, BLACKBOX)
        factory = make(new_instance_id(), runtimes.run_dir, settings.docker, bounds, network, kinds)
    else:
        factory = make(
            new_instance_id(), runtimes.run_dir, runtimes.installations, bounds, network, runtimes.missing
        )
    return factory


def network_of(guest: GuestSettings, api_socket: str) -> NetworkSettings:
    """`ConfigurationError` for what is no address."""
    return NetworkSettings(
        api=api_socket,
        allow=_each("guest.allow", guest.allow, _network, "network such as 10.1.0.0/16"),
        resolvers=_each("guest.resolvers", guest.resolvers, ipaddress.IPv4Address, "IPv4 address"),
        forwarding=guest.ip_forwarding,
    )


def services_of(settings: Settings) -> list[str]:
    """The hosts of the services that this process works with: guests are not to reach them."""
    plugins, kafka = settings.plugins, settings.kafka
    urls = [settings.couchdb.url] if plugins.store == "couchdb" else []
    urls += [settings.consul.url] if plugins.nodes == "consul" else []
    urls += [f"//{each}" for each in kafka.bootstrap] if plugins.bus == "kafka" else []
    return [host for url in urls if (host := urlsplit(url).hostname)]


def addresses_of(hosts: Iterable[str]) -> tuple[str, ...]:
    """Their IPv4 addresses, the only ones that outbound guests have a way to. Blocking."""
    found: set[str] = set()
    for host in hosts:
        try:
            found |= {str(each[4][0]) for each in socket.getaddrinfo(host, None, socket.AF_INET)}
        except OSError as error:
            log.warning("not closed to guests", action="guests.open_service", host=host, reason=error.strerror)
    return tuple(sorted(found))


def _each(setting: str, texts: tuple[str, ...], parse: Callable[[str], object], what: str) -> tuple[str, ...]:
    """`texts` as they are, if each of them can be parsed."""
    for text in texts:
        try:
            parse(text)
        except ValueError:
            raise ConfigurationError(setting, f"'{text}' is no {what}") from None
    return texts


def _network(text: str) -> object:
    return ipaddress.ip_network(text, strict=False)
