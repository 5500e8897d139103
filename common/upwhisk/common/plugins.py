"""The one table of plug-in points: point -> name -> dotted path of the class.

Outsiders add implementations through the entry-point group `upwhisk.plugins`, named `point.name`.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from upwhisk.common.errors import ConfigurationError

TABLE: dict[str, dict[str, str]] = {
    "store": {
        "sqlite": "upwhisk.backends.store.sqlite:SQLiteStore",
        "memory": "upwhisk.backends.store.memory:MemoryStore",
        "couchdb": "upwhisk.backends.store.couchdb:CouchStore",
    },
    "bus": {
        "memory": "upwhisk.backends.bus.memory:MemoryBus",
        "kafka": "upwhisk.backends.bus.kafka:KafkaBus",
    },
    "nodes": {
        "memory": "upwhisk.backends.nodes.memory:MemoryRegistry",
        "consul": "upwhisk.backends.nodes.consul:ConsulRegistry",
    },
    "containers": {
        "process": "upwhisk.invoker.containers.process:ProcessFactory",
        "docker": "upwhisk.invoker.containers.docker.factory:DockerFactory",
    },
    "logs": {"inline": "upwhisk.backends.logs.inline:InlineLogStore"},
    "forecaster": {"persistence": "upwhisk.invoker.host.persistence:PersistenceForecaster"},
    "feed": {"cron": "upwhisk.triggers.feeds.cron:CronFeed"},
}


def available(point: str) -> tuple[str, ...]:
    outside = (e.name.removeprefix(f"{point}.") for e in _outside() if e.name.startswith(f"{point}."))
    return tuple(sorted({*TABLE[point], *outside}))


def load(point: str, name: str) -> Any:
    """Return the class behind `name`; `ConfigurationError` names what is available."""
    module, _, attribute = path_of(point, name).partition(":")
    return getattr(import_module(module), attribute)


def path_of(point: str, name: str) -> str:
    """Dotted path of the class; `ConfigurationError` names what is available."""
    path = TABLE[point].get(name)
    if path is None:
        path = next((e.value for e in _outside() if e.name == f"{point}.{name}"), None)
    if path is None:
        raise ConfigurationError(f"plugins.{point}", f"'{name}' is unknown; available: {', '.join(available(point))}")
    return path


def _outside() -> Any:
    return entry_points(group="upwhisk.plugins")
