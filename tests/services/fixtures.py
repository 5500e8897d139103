"""Fixtures of real services: one instance of each for a session, started at first use.

A test that kills or cuts one starts its own: `with Kafka() as kafka`. Missing services fail in CI and skip elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
_current = pytest.StashKey[pytest.Item]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before `-m` selects: whoever names a service's fixture is marked."""
    for item in items:
        if FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(MARKER)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[_current] = item


@pytest.fixture(scope="session")
def kafka(pytestconfig: pytest.Config) -> Iterator[Kafka]:
    """A broker; `kafka.bootstrap` is its address."""
    yield from _started(pytestconfig, Kafka)


@pytest.fixture(scope="session")
def consul(pytestconfig: pytest.Config) -> Iterator[Consul]:
    """A server with ACLs; `consul.url` and the management `consul.token`."""
    yield from _started(pytestconfig, Consul)


@pytest.fixture(scope="session")
def couchdb(pytestconfig: pytest.Config) -> Iterator[Server]:
    """The server that UPWHISK_TEST_COUCHDB names, else pouchdb-server; `couchdb.url` has user and password."""
    named = _had(pytestconfig, couch.given)
    if named is not None:
        yield named
        return
    for server in _started(pytestconfig, PouchDB):
        yield server.server


@pytest.fixture(scope="session")
def docker_host(pytestconfig: pytest.Config) -> Iterator[str]:
    """Address of the engine that UPWHISK_TEST_DOCKER names, else of an own one: unix:///path."""
    named = _had(pytestconfig, docker_engine.given)
    if named is not None:
        yield named
        return
    for engine in _started(pytestconfig, DockerEngine):
        yield engine.host


@pytest.fixture(scope="session")
def toxiproxy(pytestconfig: pytest.Config) -> Iterator[Toxiproxy]:
    """`toxiproxy.proxy(name, "host:port")` puts a proxy in front of a service."""
    yield from _started(pytestconfig, Toxiproxy)


def _started(config: pytest.Config, kind: Callable[[], S]) -> Iterator[S]:
    service = _had(config, lambda: kind().start())
    try:
        yield service
    finally:
        service.stop()


def _had(config: pytest.Config, get: Callable[[], T]) -> T:
    item = config.stash.get(_current, None)
    if item is not None and item.get_closest_marker(MARKER) is None:
        pytest.fail(f"a test that uses a real service is marked @pytest.mark.{MARKER}", pytrace=False)
    try:
        return get()
    except Unavailable as error:
        missing(error)


def missing(error: Unavailable) -> NoReturn:
    """A service is not there: fails in CI, skips elsewhere, with the reason."""
    if os.environ.get("CI") == "true":
        pytest.fail(str(error), pytrace=False)
    pytest.skip(str(error))
