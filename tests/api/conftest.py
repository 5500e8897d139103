"""One suite, two targets.

By default each test gets a platform of its own in this process: the REST face with scripted parts behind it. With
`UPWHISK_TEST_URL` and `UPWHISK_TEST_AUTH` (and `UPWHISK_TEST_OTHER_AUTH`, the key of a second namespace) the same
tests run against a platform that is already there. With `UPWHISK_TEST_STORE=couchdb` the platform in this process keeps
its documents in CouchDB.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp
import pytest
from api.client import Client, Target, basic
from api.platform import GUEST, OTHER, InProcess, in_process
from fakes.couch import fresh_store

from upwhisk.common.spi.store import DocumentStore


@pytest.fixture
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AbstractAsyncContextManager[DocumentStore] | None:
    """The store that `UPWHISK_TEST_STORE` names; None: the usual one."""
    name = os.environ.get("UPWHISK_TEST_STORE", "memory")
    assert name in ("memory", "couchdb"), f"UPWHISK_TEST_STORE={name}"
    return fresh_store(request.getfixturevalue("couchdb"), tmp_path / "couch") if name == "couchdb" else None


@pytest.fixture
async def target(opened: AbstractAsyncContextManager[DocumentStore] | None) -> AsyncIterator[Target]:
    url = os.environ.get("UPWHISK_TEST_URL")
    if url is None:
        async with in_process(opened=opened) as local:
            yield Target(f"http://127.0.0.1:{local.server.port}", GUEST, OTHER, "guest", "other", local)
        return
    auth, other = os.environ["UPWHISK_TEST_AUTH"], os.environ["UPWHISK_TEST_OTHER_AUTH"]
    names = [await _namespace(url, key) for key in (auth, other)]
    yield Target(url.rstrip("/"), auth, other, names[0], names[1], None)


async def _namespace(url: str, auth: str) -> str:
    headers = {"Authorization": basic(auth)}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/v1/namespaces", headers=headers) as got,
    ):
        return str((await got.json())[0])


@pytest.fixture
async def client(target: Target) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, target, target.auth)


@pytest.fixture
def other(client: Client) -> Client:
    """A caller from another namespace."""
    return client.as_(client.target.other_auth)


@pytest.fixture
def local(target: Target) -> InProcess:
    """The platform in this process; tests that look behind the API skip elsewhere."""
    if target.local is None:
        pytest.skip("looks behind the API of a platform in this process")
    return target.local


@pytest.fixture
def fresh() -> Callable[[str], str]:
    """Names nobody else uses."""
    run, numbers = uuid.uuid4().hex[:8], itertools.count()
    return lambda stem: f"{stem}-{run}-{next(numbers)}"
