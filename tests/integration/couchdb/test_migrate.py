"""`upwhisk migrate` between a data folder and CouchDB: there and back, killed, cut off, refused."""

from __future__ import annotations

import asyncio
import io
import signal
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from cli.command import Command
from fakes.couch import KEEP_ALL, NOBODY, asking, fresh, settings_for
from fakes.migrants import GUEST, KEY, content, fill, records
from fakes.samples import START_MS, message
from fakes.until import until_async
from services.couchdb import PouchDB, Server
from services.toxiproxy import Proxy, Toxiproxy

from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.cli import migration
from upwhisk.cli.failure import Failure
from upwhisk.cli.migration_ends import AGAIN, Ends, opened
from upwhisk.cli.migration_progress import Progress
from upwhisk.cli.migration_verdict import Rules
from upwhisk.common.model.activation import decode_record
from upwhisk.common.model.identity import NamespaceKey, Subject
from upwhisk.common.settings import CouchDBSettings, Settings

pytestmark = [pytest.mark.external_service, pytest.mark.timeout(180)]
THERE = ("migrate", "embedded", "couchdb", "--config", "fleet.toml")
BACK = ("migrate", "couchdb", "embedded", "--config", "fleet.toml")
MANY = 3000


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
async def data(tmp_path: Path) -> Path:
    """A stopped platform's folder with everything in it."""
    async with embedded(tmp_path / "data") as store:
        await fill(store)
    return tmp_path / "data"


@pytest.fixture
async def fleet(settings: CouchDBSettings, tmp_path: Path) -> CouchDBSettings:
    return configured(tmp_path, settings)


def embedded(folder: Path) -> SQLiteStore:
    return SQLiteStore(folder, retention=KEEP_ALL)


def configured(folder: Path, settings: CouchDBSettings) -> CouchDBSettings:
    lines = [f"{name} = {value!r}".replace("'", '"') for name, value in msgspec.to_builtins(settings).items()]
    (folder / "fleet.toml").write_text("\n".join(["[couchdb]", *lines, ""]))
    return settings


async def starts(store: SQLiteStore) -> list[int]:
    page = await store.inventory.records()
    return [decode_record(body).start for body in page.items]


async def test_there_and_back(command: Command, data: Path, fleet: CouchDBSettings, tmp_path: Path) -> None:
    async with embedded(data) as store:
        before = await content(store)
    there = await command(*THERE, "--data", str(data), "--verify")
    assert (there.code, there.err) == (0, ""), there
    assert there.lines[-1] == "ok: copied 36, 0 were there; read again on both sides: all the same"
    async with CouchStore(fleet, KEEP_ALL) as couch:
        assert await content(couch) == before
        assert await couch.subjects.by_uuid("u-2") is not None

    back = await command(*BACK, "--data", str(tmp_path / "back"), "--verify")
    assert back.code == 0, back
    assert back.lines[-1] == there.lines[-1]
    async with embedded(tmp_path / "back") as store:
        assert await content(store) == before
        assert await starts(store) == sorted(await starts(store))
        assert (await store.statistics()).records == len(before["records"])
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o700
    for shown in (there, back):
        assert KEY not in shown.out + shown.err


async def test_again_and_dry(command: Command, data: Path, fleet: CouchDBSettings) -> None:
    dry = await command(*THERE, "--data", str(data), "--dry-run")
    assert (dry.code, dry.lines[-1]) == (0, "Nothing was written; 36 would be copied, 0 are there.")
    async with CouchStore(fleet, KEEP_ALL) as couch:
        assert (await content(couch))["subjects"] == {}
    first = await command(*THERE, "--data", str(data), "--no-activations")
    assert first.lines[-1] == "ok: copied 13, 0 were there"
    some = await command(*THERE, "--data", str(data), "--since", str(START_MS + 4))
    assert some.lines[-1] == "ok: copied 20, 13 were there"
    all_ = await command(*THERE, "--data", str(data), "--output", "json")
    rows = {row["kind"]: (row["read"], row["copied"], row["same"]) for row in all_.data["kinds"]}
    assert rows["activations"] == (23, 3, 20)
    assert rows["actions"] == (4, 0, 4)
    back = await command(*BACK, "--data", "nowhere", "--dry-run")
    assert back.lines[-1] == "Nothing was written; 36 would be copied, 0 are there."
    assert not (command.folder / "nowhere").exists()


async def test_what_differs_is_said_and_stays(command: Command, data: Path, fleet: CouchDBSettings) -> None:
    theirs = Subject("guest", (NamespaceKey("guest", "u-9", "t" * 64),))
    async with CouchStore(fleet, KEEP_ALL) as couch:
        await couch.subjects.put(theirs)
    kept = await command(*THERE, "--data", str(data), "--verify")
    assert kept.code == 1
    assert "conflicts: subjects 'guest': keys" in kept.err
    assert "--overwrite" in kept.err
    assert kept.lines[-1] == (
        "copied 35, 0 were there, 1 left; read again on both sides: 1 of 36 differ or are missing in the target"
    )
    async with CouchStore(fleet, KEEP_ALL) as couch:
        assert await couch.subjects.get("guest") == theirs
        assert await couch.subjects.get("alice") is not None
    replaced = await command(*THERE, "--data", str(data), "--overwrite", "--verify")
    assert replaced.code == 0, replaced
    async with CouchStore(fleet, KEEP_ALL) as couch:
        assert await couch.subjects.get("guest") == GUEST
    assert KEY not in kept.out + kept.err + replaced.out + replaced.err


@pytest.fixture
def slow(fleet: CouchDBSettings, toxiproxy: Toxiproxy, tmp_path: Path) -> Iterator[Proxy]:
    """Between the command and the database: each answer comes late, so that a migration has a middle."""
    proxy = toxiproxy.proxy(fleet.prefix, urlsplit(fleet.url).netloc)
    proxy.delay(60)
    configured(tmp_path, msgspec.structs.replace(fleet, url=f"http://{proxy.address}"))
    yield proxy
    proxy.remove()


async def killed_when(process: asyncio.subprocess.Process, condition: Callable[[], Awaitable[bool]]) -> None:
    await until_async(condition)
    process.kill()
    await process.wait()
    assert process.returncode == -signal.SIGKILL


async def test_killed_on_the_way_there(
    command: Command, data: Path, fleet: CouchDBSettings, slow: Proxy, couchdb: Server
) -> None:
    async with embedded(data) as store:
        await store.activations.put(records(MANY))
        before = await content(store)
    for database, least in (("whisks", 5), ("activations", 100), ("activations", 1200)):
        process = await command.start(*THERE, "--data", str(data))
        await killed_when(process, lambda: _holds(couchdb, fleet, database, least))  # noqa: B023 - awaited here
    assert not await _holds(couchdb, fleet, "activations", MANY)
    await asyncio.to_thread(slow.heal)
    ended = await command(*THERE, "--data", str(data), "--verify")
    assert ended.code == 0, ended
    assert "all the same" in ended.lines[-1]
    async with CouchStore(fleet, KEEP_ALL) as couch:
        assert await content(couch) == before


async def test_killed_on_the_way_back(
    command: Command, fleet: CouchDBSettings, slow: Proxy, tmp_path: Path
) -> None:
    folder = tmp_path / "back"
    async with CouchStore(fleet, KEEP_ALL) as couch:
        await fill(couch, MANY)
        before = await content(couch)
    for files, size in (("upwhisk.db*", 1_000_000), ("log-*", 1_100_000), ("log-*", 200_000)):
        process = await command.start(*BACK, "--data", str(folder))
        await killed_when(process, lambda: _is_as_large(folder, files, size))  # noqa: B023 - awaited here
    async with embedded(folder) as store:
        assert 0 < (await store.statistics()).records < MANY
    await asyncio.to_thread(slow.heal)
    ended = await command(*BACK, "--data", str(folder), "--verify")
    assert ended.code == 0, ended
    async with embedded(folder) as store:
        assert await content(store) == before
        assert (await store.statistics()).records == len(before["records"])


async def _holds(server: Server, settings: CouchDBSettings, database: str, least: int) -> bool:
    """Whether the database has so many documents."""
    async with asking(server) as client, client.get(f"/{settings.prefix}{database}") as answer:
        return int((await answer.json())["doc_count"]) >= least


async def _is_as_large(folder: Path, files: str, least: int) -> bool:
    return sum(path.stat().st_size for path in folder.glob(files) if path.exists()) >= least


@pytest.fixture
async def outage(own: PouchDB, tmp_path: Path) -> AsyncIterator[CouchDBSettings]:
    async with fresh(own.server, tmp_path / "couch") as made:
        yield configured(tmp_path, made)


async def test_an_outage_in_the_middle_is_waited_for(
    command: Command, data: Path, own: PouchDB, outage: CouchDBSettings
) -> None:
    async with embedded(data) as store:
        await store.activations.put(records(MANY))
        before = await content(store)
    process = await command.start(*THERE, "--data", str(data), "--verify")
    assert process.stderr is not None
    await until_async(lambda: _holds(own.server, outage, "activations", 100))
    await asyncio.to_thread(own.kill)
    async with asyncio.timeout(30):
        said = await process.stderr.readline()
    assert said.startswith(b"waiting: The artifact store is not available: CouchDB at http://127.0.0.1:")
    await asyncio.to_thread(own.restart)
    async with asyncio.timeout(90):
        out, err = await process.communicate()
    assert process.returncode == 0, (out, err)
    assert b"all the same" in out
    async with CouchStore(outage, KEEP_ALL) as couch:
        assert await content(couch) == before


async def test_patience_ends_with_what_to_do(
    data: Path, own: PouchDB, outage: CouchDBSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration, "PATIENCE_S", 1.0)
    ends = Ends("embedded", "couchdb", data, Settings(couchdb=outage))

    async def cut_off() -> None:
        async with opened(ends, writes=True) as (source, target):
            await asyncio.to_thread(own.kill)
            await migration.Migration(source, target, Rules(), Progress(io.StringIO(), None)).run()

    with pytest.raises(Failure, match=r"CouchDB at .* no connection") as failed:
        await cut_off()
    assert (failed.value.code, failed.value.hint) == (1, AGAIN)
    async with embedded(data):
        """The folder is free again."""
    await asyncio.to_thread(own.restart)


async def test_stopped_with_control_c(command: Command, data: Path, fleet: CouchDBSettings, slow: Proxy, couchdb: Server) -> None:
    process = await command.start(*THERE, "--data", str(data))
    await until_async(lambda: _holds(couchdb, fleet, "whisks", 2))
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        _, err = await process.communicate()
    assert (process.returncode, err.decode().splitlines()) == (130, ["error: Stopped", f"hint: {AGAIN}"])


async def test_a_full_disk_is_refused(command: Command, fleet: CouchDBSettings, tmp_path: Path) -> None:
    with (tmp_path / "fleet.toml").open("a") as file:
        file.write("[store]\nmin_free_mb = 1000000000\n")
    refused = await command(*BACK, "--data", str(tmp_path / "back"))
    assert (refused.code, "store.min_free_mb" in refused.err) == (1, True), refused


async def test_a_running_platform_is_refused(command: Command, data: Path, fleet: CouchDBSettings) -> None:
    async with embedded(data):
        for way in (THERE, BACK):
            refused = await command(*way, "--data", str(data))
            assert refused.code == 1
            assert "is in use by process" in refused.err
            assert "stopped first" in refused.err


async def test_work_without_a_record_is_refused(command: Command, data: Path, fleet: CouchDBSettings) -> None:
    async with embedded(data) as store:
        await store.journal.accept([message(), message()])
    refused = await command(*THERE, "--data", str(data))
    assert refused.code == 1
    assert f"'{data}' holds 2 accepted activations that have no record yet" in refused.err
    assert f"upwhisk standalone --data {data}" in refused.err
    async with CouchStore(fleet, KEEP_ALL) as couch:
        assert (await content(couch))["subjects"] == {}


async def test_a_wrong_password_is_one_line(
    command: Command, data: Path, fleet: CouchDBSettings, tmp_path: Path
) -> None:
    Path(fleet.password_file).write_text("wr0ng-pa55")
    configured(tmp_path, msgspec.structs.replace(fleet, user=NOBODY))
    for way in (THERE, BACK):
        refused = await command(*way, "--data", str(data))
        assert refused.code == 1
        errors = [line for line in refused.err.splitlines() if line.startswith("error:")]
        assert len(errors) == 1
        assert "setting couchdb." in errors[0]
        assert "couchdb.password_file" in errors[0]
        assert "wr0ng-pa55" not in refused.out + refused.err


async def test_databases_that_are_not_there(command: Command, data: Path, couchdb: Server, tmp_path: Path) -> None:
    configured(tmp_path, settings_for(couchdb, tmp_path / "couch"))
    refused = await command(*THERE, "--data", str(data))
    assert refused.code == 1
    assert "setting couchdb.prefix" in refused.err
    assert "run 'upwhisk init'" in refused.err


async def test_nobody_answers(command: Command, data: Path, tmp_path: Path) -> None:
    configured(tmp_path, CouchDBSettings(url="http://127.0.0.1:9"))
    refused = await command(*THERE, "--data", str(data))
    assert (refused.code, "setting couchdb.url" in refused.err) == (1, True)


async def test_a_folder_that_cannot_be_read(command: Command, data: Path, fleet: CouchDBSettings) -> None:
    nothing = await command(*THERE, "--data", "nowhere")
    assert (nothing.code, "There is no platform's data in" in nothing.err) == (1, True)
    assert not (command.folder / "nowhere").exists()
    connection = sqlite3.connect(data / "upwhisk.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    newer = await command(*THERE, "--data", str(data))
    assert (newer.code, "has data format 99 and this release reads up to" in newer.err) == (1, True)


async def test_another_key_of_the_fleet(command: Command, data: Path, fleet: CouchDBSettings) -> None:
    Path(fleet.key_file).write_bytes(b"x" * 32)
    refused = await command(*THERE, "--data", str(data))
    assert (refused.code, "setting couchdb.key_file" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("embedded", "embedded"), "one embedded and one couchdb"),
        (("embedded",), "Missing argument"),
        (("embedded", "mongo"), "'mongo' is not one of"),
        (("embedded", "couchdb", "--since", "yesterday"), "is no time"),
    ],
)
async def test_bad_arguments(command: Command, arguments: tuple[str, ...], text: str) -> None:
    refused = await command("migrate", *arguments)
    assert (refused.code, text in refused.err) == (2, True), refused
