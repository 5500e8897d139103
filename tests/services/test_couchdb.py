"""The server of CouchDB's protocol that tests get."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from fakes.couch import NOBODY
from services import couchdb as services_couchdb
from services.couchdb import VARIABLE, PouchDB, Server, login
from services.errors import Unavailable
from services.fixtures import started
from services.processes import naming

pytestmark = pytest.mark.external_service


def session(server: Server) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        server.address,
        headers={"Accept": "application/json", **login(server.user, server.password)},
        timeout=aiohttp.ClientTimeout(10),
    )


async def test_what_was_written_is_there_after_kill_9() -> None:
    with started(PouchDB) as own:
        server, folder = own.server, own.folder
        async with session(server) as client:
            assert (await client.put("/animals")).status == 201
            assert (await client.put("/animals/cat", json={"says": "meow"})).status == 201
        own.kill()
        await asyncio.to_thread(own.restart)
        async with session(server) as client:
            document = await (await client.get("/animals/cat")).json()
        assert document["says"] == "meow"
    assert naming(folder) == []
    assert not folder.exists()


async def test_a_wrong_password_is_refused(couchdb: Server) -> None:
    stranger = Server(couchdb.address, NOBODY, "guessed", None)
    async with session(stranger) as client:
        assert (await client.get("/_all_dbs")).status == 401


def test_the_environment_names_another_server(couchdb: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, couchdb.url)
    given = services_couchdb.given()
    assert given == Server(couchdb.address, couchdb.user, couchdb.password, None)
    monkeypatch.setenv(VARIABLE, couchdb.address.replace("://", f"://{NOBODY}:guessed@"))
    with pytest.raises(Unavailable, match="answered 401"):
        services_couchdb.given()
    monkeypatch.setenv(VARIABLE, "couch.example")
    with pytest.raises(Unavailable, match="http://user:password@host:port"):
        services_couchdb.given()
