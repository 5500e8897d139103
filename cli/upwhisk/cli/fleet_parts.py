"""The services of a fleet as the settings name them: documents, bus, registry."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from upwhisk.cli.service_watch import Problem, ServiceWatch
from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.plugins import load
from upwhisk.common.settings import Settings
from upwhisk.common.spi.bus import MessageBus
from upwhisk.common.spi.nodes import NodeRegistry
from upwhisk.common.spi.store import DocumentStore

_FLEET = {"store": ("sqlite", "couchdb"), "bus": ("memory", "kafka"), "nodes": ("memory", "consul")}
"""Point -> the default of one process, which several cannot share, and what a fleet takes in its place."""
MISSING_EXTRA = "needs more packages: pip install 'upwhisk[distributed]'"


@dataclass(frozen=True, slots=True)
class FleetParts:
    """Not started yet."""

    documents: DocumentStore
    bus: MessageBus
    registry: NodeRegistry

    def watch(self, **others: Problem) -> ServiceWatch:
        """Counts their outages, and those of `others`, while it is started."""
        problems: dict[str, Problem] = {
            "store": self.documents.accepts_work,
            "bus": self.bus.problem,
            "registry": self.registry.problem,
        }
        return ServiceWatch({**problems, **others}, SystemClock())


def plugin_name(settings: Settings, point: str) -> str:
    alone, shared = _FLEET[point]
    name: str = getattr(settings.plugins, point)
    return shared if name == alone else name


def documents_of(settings: Settings) -> DocumentStore:
    made: DocumentStore = _load(settings, "store")(settings.couchdb, settings.retention, SystemClock())
    return made


def bus_of(settings: Settings) -> MessageBus:
    made: MessageBus = _load(settings, "bus")(settings.kafka)
    return made


def registry_of(settings: Settings) -> NodeRegistry:
    made: NodeRegistry = _load(settings, "nodes")(settings.consul)
    return made


def parts_of(settings: Settings) -> FleetParts:
    """`ConfigurationError` for an unknown plug-in, or one whose packages are not installed."""
    return FleetParts(documents_of(settings), bus_of(settings), registry_of(settings))


def controller_name(settings: Settings) -> str:
    return settings.controller.name or f"{socket.gethostname()}-{settings.server.port}"


def node_name(settings: Settings) -> str:
    """A fleet's nodes are named after their hosts unless they are told otherwise."""
    return socket.gethostname() if settings.node.name == "0" else settings.node.name


def _load(settings: Settings, point: str) -> type:
    name = plugin_name(settings, point)
    try:
        loaded: type = load(point, name)
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"plugins.{point}", f"'{name}' {MISSING_EXTRA} ({error.name} is missing)") from None
    return loaded
