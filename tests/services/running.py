"""Services started for a command: each by its name, with the variables that tell its address."""

from __future__ import annotations

from contextlib import ExitStack

from services.compose_tool import tool
from services.consul import Consul
from services.couchdb import PouchDB
from services.docker_engine import DockerEngine
from services.kafka import Kafka
from services.toxiproxy import Toxiproxy


def start(name: str, stack: ExitStack) -> dict[str, str]:
    """Start it until `stack` closes. Raises `Unavailable`."""
    match name:
        case "kafka":
            return {"UPWHISK_TEST_KAFKA": stack.enter_context(Kafka()).bootstrap}
        case "consul":
            consul = stack.enter_context(Consul())
            return {"UPWHISK_TEST_CONSUL": consul.url, "UPWHISK_TEST_CONSUL_TOKEN": consul.token}
        case "couchdb":
            return {"UPWHISK_TEST_COUCHDB": stack.enter_context(PouchDB()).server.url}
        case "docker":
            host = stack.enter_context(DockerEngine()).host
            return {"UPWHISK_TEST_DOCKER": host, "DOCKER_HOST": host}
        case "compose":
            return {"UPWHISK_TEST_COMPOSE": str(tool())}
        case _:
            return {"UPWHISK_TEST_TOXIPROXY": stack.enter_context(Toxiproxy()).url}
