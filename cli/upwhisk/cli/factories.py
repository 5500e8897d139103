"""Makes the container factory that the settings name."""

from __future__ import annotations

import ipaddress

from upwhisk.cli.container_choice import DOCKER
from upwhisk.cli.node_runtimes import NodeRuntimes
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.ids import new_instance_id
from upwhisk.common.model.action import BLACKBOX
from upwhisk.common.plugins import load
from upwhisk.common.spi.containers import ContainerFactory
from upwhisk.invoker.containers.bounds import GuestBounds, NetworkSettings


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
    network = NetworkSettings(
        api=api_socket,
        allow=_networks(guest.allow),
        resolvers=_checked(guest.resolvers),
        forwarding=guest.ip_forwarding,
    )
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


def _networks(allowed: tuple[str, ...]) -> tuple[str, ...]:
    for text in allowed:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ConfigurationError("guest.allow", f"'{text}' is no network such as 10.1.0.0/16") from None
    return allowed


def _checked(resolvers: tuple[str, ...]) -> tuple[str, ...]:
    for text in resolvers:
        try:
            ipaddress.IPv4Address(text)
        except ValueError:
            raise ConfigurationError("guest.resolvers", f"'{text}' is no IPv4 address") from None
    return resolvers
