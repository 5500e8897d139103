"""What `prepare` makes, and what a start says when something is not as it should be."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from fakes.couch import DATABASES, KEEP_ALL, NOBODY, asking, fresh, is_gone, settings_for
from fakes.samples import record
from fakes.scripted_couch import Say, ScriptedCouch, scripted
from fakes.until import until_async
from services.certificates import Authority
from services.couchdb import Server
from services.ports import free_ports

from upwhisk.backends.store import couchdb_client, couchdb_prepare
from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.backends.store.couchdb_reach import Reach
from upwhisk.backends.store.couchdb_views import design_id
from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import ConfigurationError, StartupError
from upwhisk.common.settings import CouchDBSettings


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For servers that never come."""
    monkeypatch.setattr(couchdb_client, "RETRY_S", 0.3)


async def refusal(settings: CouchDBSettings) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as failure:
        async with CouchStore(settings, KEEP_ALL):
            pass
    return failure.value


async def test_preparing_again_changes_nothing(couchdb: Server, settings: CouchDBSettings) -> None:
    key = Path(settings.key_file).read_bytes()
    assert await CouchStore.prepare(settings) == []
    assert Path(settings.key_file).read_bytes() == key
    assert Path(settings.key_file).stat().st_mode & 0o777 == 0o600
    async with asking(couchdb) as client:
        for name in DATABASES:
            async with client.get(f"/{settings.prefix}{name}/{design_id(name)}") as answer:
                assert (await answer.json())["_rev"].startswith("1-")


async def test_what_was_made_is_said_once(couchdb: Server, tmp_path: Path) -> None:
    async with fresh(couchdb, tmp_path) as settings, asking(couchdb) as client:
        async with client.delete(f"/{settings.prefix}whisks"):
            pass
        await until_async(partial(is_gone, client, f"/{settings.prefix}whisks"))
        made = await CouchStore.prepare(settings)
        assert made == [f"database {settings.prefix}whisks", f"views of {settings.prefix}whisks"]


async def test_machines_that_prepare_at_once(couchdb: Server, tmp_path: Path) -> None:
    # PouchDB tells each of them that it made the database; CouchDB tells one.
    async with fresh(couchdb, tmp_path / "one") as first:
        settings = settings_for(couchdb, tmp_path / "two", prefix=first.prefix + "x-", key_file=first.key_file)
        try:
            await asyncio.gather(*(CouchStore.prepare(settings) for _ in range(4)))
            async with CouchStore(settings, KEEP_ALL) as store:
                assert await store.activations.put([record()]) == 1
        finally:
            async with asking(couchdb) as client:
                for name in DATABASES:
                    async with client.delete(f"/{settings.prefix}{name}"):
                        pass


async def test_databases_that_are_not_there(couchdb: Server, tmp_path: Path) -> None:
    failure = await refusal(settings_for(couchdb, tmp_path))
    assert failure.setting == "couchdb.prefix"
    assert "upwhisk init" in str(failure)


async def test_views_that_are_not_ours(couchdb: Server, settings: CouchDBSettings) -> None:
    path = f"/{settings.prefix}whisks/{design_id('whisks')}"
    async with asking(couchdb) as client:
        async with client.get(path) as answer:
            design = await answer.json()
        design["views"]["entities"]["map"] = "function (doc) { emit(1, 2); }"
        async with client.put(path, json=design) as answer:
            assert answer.status == 201
    with pytest.raises(StartupError, match="upwhisk init"):
        async with CouchStore(settings, KEEP_ALL):
            pass
    assert await CouchStore.prepare(settings) == [f"views of {settings.prefix}whisks"]
    async with CouchStore(settings, KEEP_ALL):
        pass


async def test_views_of_a_release_long_gone_go(couchdb: Server, settings: CouchDBSettings) -> None:
    """The release before the newest goes on with its own, beside the new."""
    clock = SystemClock()
    client = couchdb_client.CouchClient(settings, Reach(clock), clock)
    try:
        await client.open()
        for version in (2, 3):
            await couchdb_prepare.prepare(client, version)
    finally:
        await client.aclose()
    statuses = []
    async with asking(couchdb) as plain:
        for version in (1, 2, 3):
            async with plain.get(f"/{settings.prefix}whisks/{design_id('whisks', version)}") as answer:
                statuses.append(answer.status)
    assert statuses == [404, 200, 200]


async def test_a_wrong_password(couchdb: Server, settings: CouchDBSettings) -> None:
    Path(settings.password_file).write_text("guessed-wrongly")
    failure = await refusal(msgspec.structs.replace(settings, user=NOBODY))
    assert failure.setting == "couchdb.user"
    assert "couchdb.password_file" in str(failure)
    assert "guessed-wrongly" not in str(failure)


async def test_a_locked_account_is_told_to_wait() -> None:
    locked = Say(403, {"error": "forbidden", "reason": "Account is temporarily locked due to multiple authentication failures"})
    async with scripted(ScriptedCouch(locked)) as couch:
        failure = await refusal(CouchDBSettings(url=couch.url))
    assert failure.setting == "couchdb.user"
    assert "locked for some minutes" in str(failure)


@pytest.mark.usefixtures("impatient")
async def test_nobody_answers() -> None:
    failure = await refusal(CouchDBSettings(url=f"http://127.0.0.1:{free_ports(1)[0]}"))
    assert failure.setting == "couchdb.url"


@pytest.mark.parametrize("answer", [Say(200, b"<html>nginx</html>"), Say(404, b"not here"), Say(301, b"")])
async def test_something_else_answers(answer: Say) -> None:
    async with scripted(ScriptedCouch(answer)) as couch:
        failure = await refusal(CouchDBSettings(url=couch.url))
    assert failure.setting == "couchdb.url"
    assert "no CouchDB" in str(failure)


@pytest.mark.usefixtures("impatient")
async def test_a_server_in_maintenance() -> None:
    shards = Say(500, {"error": "internal_server_error", "reason": "No DB shards could be opened."})
    async with scripted(ScriptedCouch(react=lambda asked: Say(200) if asked.path == "/" else shards)) as couch:
        failure = await refusal(CouchDBSettings(url=couch.url))
    assert failure.setting == "couchdb.url"
    assert "No DB shards" in str(failure)


async def test_a_user_who_may_not_make_databases() -> None:
    # CouchDB answers 401 to an ordinary user who asks for what only an administrator may.
    def react(asked: Any) -> Say:
        if asked.path == "/":
            return Say(200, {"couchdb": "Welcome"})
        if asked.method == "GET":
            return Say(404, {"error": "not_found", "reason": "Database does not exist."})
        return Say(401, {"error": "unauthorized", "reason": "You are not a server admin."})

    async with scripted(ScriptedCouch(react=react)) as couch:
        with pytest.raises(ConfigurationError, match="make databases and views") as failure:
            await CouchStore.prepare(CouchDBSettings(url=couch.url))
    assert failure.value.setting == "couchdb.user"


@pytest.mark.parametrize("how", ["unset", "missing", "other", "short"])
async def test_the_fleets_key(settings: CouchDBSettings, tmp_path: Path, how: str) -> None:
    other = tmp_path / "other.key"
    if how != "missing":
        other.write_bytes(b"x" * (32 if how == "other" else 5))
    settings = msgspec.structs.replace(settings, key_file="" if how == "unset" else str(other))
    failure = await refusal(settings)
    assert failure.setting == "couchdb.key_file"
    with pytest.raises(ConfigurationError, match=r"couchdb\.key_file"):
        await CouchStore.prepare(settings)


async def test_a_process_without_subjects_needs_no_key(settings: CouchDBSettings) -> None:
    settings = msgspec.structs.replace(settings, key_file="")
    async with CouchStore(settings, KEEP_ALL, subjects=False) as store:
        assert await store.activations.put([record()]) == 1
        with pytest.raises(RuntimeError, match="without the subjects"):
            await store.subjects.get("guest")


@pytest.mark.usefixtures("impatient")
async def test_tls_with_an_authority_of_ones_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.sign("couch")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.certificate, files.key)
    runner = web.ServerRunner(web.Server(ScriptedCouch(react=lambda asked: Say(404)).handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        trusting = await refusal(CouchDBSettings(url=url, ca_file=str(authority.ca)))
        assert (trusting.setting, "not there" in str(trusting)) == ("couchdb.prefix", True)
        other = Authority(tmp_path / "other")
        wary = await refusal(CouchDBSettings(url=url, ca_file=str(other.ca)))
        assert (wary.setting, "certificate" in str(wary)) == ("couchdb.ca_file", True)
    finally:
        await runner.cleanup()
