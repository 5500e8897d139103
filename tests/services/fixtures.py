"""Fixtures of real services: one instance of each for a session, started at first use.

A test that kills or cuts one starts its own: `with started(Kafka) as kafka`. Missing services fail in CI and skip elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import pytest
from services import couchdb as couch
from services import docker_engine
from services.consul import Consul
from services.couchdb import PouchDB, Server
from services.docker_engine import DockerEngine
from services.errors import Unavailable
from services.kafka import Kafka
from services.service import Service
from services.toxiproxy import Toxiproxy

MARKER = "external_service"
FIXTURES = frozenset({"kafka", "consul", "couchdb", "docker_host", "toxiproxy"})
S = TypeVar("S", bound=Service)
T = TypeVar("T")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before `-m` selects: whoever names a service's fixture is marked."""
    for item in items:
        if FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(MARKER)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """A broker; `kafka.bootstrap` is its address."""
    with started(Kafka) as broker:
        yield broker


@pytest.fixture(scope="session")
def consul() -> Iterator[Consul]:
    """A server with ACLs; `consul.url` and the management `consul.token`."""
    with started(Consul) as server:
        yield server


@pytest.fixture(scope="session")
def couchdb() -> Iterator[Server]:
    """The server that UPWHISK_TEST_COUCHDB names, else pouchdb-server; `couchdb.url` has user and password."""
    named = _had(couch.given)
    if named is not None:
        yield named
        return
    with started(PouchDB) as server:
        yield server.server


@pytest.fixture(scope="session")
def docker_host() -> Iterator[str]:
    """Address of the engine that UPWHISK_TEST_DOCKER names, else of an own one: unix:///path."""
    named = _had(docker_engine.given)
    if named is not None:
        yield named
        return
    with started(lambda: DockerEngine(apart=True)) as engine:  # others may need the namespace of this host meanwhile
        yield engine.host


@pytest.fixture(scope="session")
def toxiproxy() -> Iterator[Toxiproxy]:
    """`toxiproxy.proxy(name, "host:port")` puts a proxy in front of a service."""
    with started(Toxiproxy) as server:
        yield server


@contextmanager
def started(make: Callable[[], S]) -> Iterator[S]:
    """An own instance that may be killed, cut off and restarted."""
    service = _had(lambda: make().start())
    try:
        yield service
    finally:
        service.stop()


def _had(get: Callable[[], T]) -> T:
    try:
        return get()
    except Unavailable as error:
        missing(error)


def missing(error: Unavailable) -> NoReturn:
    """A service is not there: fails in CI, skips elsewhere, with the reason."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))
