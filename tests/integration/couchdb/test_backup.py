"""A backup made while work goes on fills empty databases again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from fakes.couch import DATABASES, KEEP_ALL, asking, settings_for
from fakes.samples import START_MS, document, record
from services.couchdb import Server

from upwhisk.backends.store import couchdb_backup
from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.backends.store.couchdb_client import CouchClient
from upwhisk.backends.store.couchdb_restore import restore
from upwhisk.common.errors import ConfigurationError, DataFolderError, StoreUnavailable
from upwhisk.common.model.activation import encode_record
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.settings import CouchDBSettings
from upwhisk.common.spi.store import ActivationQuery, EntityQuery

ANNA = Subject("anna.m", (NamespaceKey("anna.m", "u-1", "s3cr3t" * 11),))
ALL = ActivationQuery(namespace="guest")


@pytest.fixture
async def elsewhere(couchdb: Server, settings: CouchDBSettings, tmp_path: Path) -> AsyncIterator[CouchDBSettings]:
    """Databases that are not there yet, of a fleet with the same key."""
    other = settings_for(couchdb, tmp_path / "elsewhere", key_file=settings.key_file)
    yield other
    async with asking(couchdb) as client:
        for name in DATABASES:
            async with client.delete(f"/{other.prefix}{name}"):
                pass


async def test_everything_comes_back(store: CouchStore, elsewhere: CouchDBSettings, tmp_path: Path) -> None:
    code = bytes(range(256)) * 2000
    first = await store.entities.put(document(attachment=code))
    revision = await store.entities.put(document(body={"version": "0.0.2"}, revision=first, has_attachment=True))
    gone = await store.entities.put(document("gone"))
    await store.entities.delete("guest/gone", gone)
    await store.subjects.put(ANNA)
    await store.subjects.put_limits("guest", NamespaceLimits(fires_per_minute=1))
    records = [record(start=START_MS + number) for number in range(600)]
    records += [record(result={"n": 2**60}), record(logs=("x" * 300_000,))]
    await store.activations.put(records)

    target = tmp_path / "backup"
    await store.backup(target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert b"s3cr3t" not in target.read_bytes()
    assert [path.name for path in tmp_path.glob("backup*")] == ["backup"]

    assert await restore(target, elsewhere) == 1 + 2 + 602
    async with CouchStore(elsewhere, KEEP_ALL) as copy:
        found = await copy.entities.get("guest/hello", attachment=True)
        assert found == document(body={"version": "0.0.2"}, revision=revision, has_attachment=True, attachment=code)
        assert await copy.entities.count(EntityQuery(namespace="guest", collection="actions")) == 1
        assert await copy.subjects.by_uuid("u-1") == ANNA
        assert await copy.subjects.limits("guest") == NamespaceLimits(fires_per_minute=1)
        assert await copy.activations.count(ALL) == 602
        for each in records[-3:]:
            assert await copy.activations.get("guest", each.activation_id) == encode_record(each)
        await copy.entities.put(document(revision=revision))  # the revision that a caller knows is good for the next write


async def test_changes_while_it_is_made(
    store: CouchStore, elsewhere: CouchDBSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes behind the reader's back comes again further down; the last line counts."""
    monkeypatch.setattr(couchdb_backup, "_PAGE", 5)
    revisions = {f"a{number}": await store.entities.put(document(f"a{number}")) for number in range(20)}

    async def change() -> None:
        for number, (name, revision) in enumerate(revisions.items()):
            if number % 2:
                await store.entities.delete(f"guest/{name}", revision)
            else:
                await store.entities.put(document(name, revision=revision, body={"n": number}, updated=START_MS + 1))
        await store.entities.put(document("late"))

    pages = couchdb_backup._read

    async def disturbed(client: CouchClient, name: str) -> AsyncIterator[list[couchdb_backup.Line]]:
        has_changed = name != "whisks"
        async for page in pages(client, name):
            yield page
            if not has_changed:
                await change()
                has_changed = True

    monkeypatch.setattr(couchdb_backup, "_read", disturbed)
    target = tmp_path / "backup"
    await store.backup(target)
    await restore(target, elsewhere)
    query = EntityQuery(namespace="guest", collection="actions")
    async with CouchStore(elsewhere, KEEP_ALL) as copy:
        copied = {each.id: each for each in await copy.entities.list(query)}
    assert copied == {each.id: each for each in await store.entities.list(query)}
    assert len(copied) == 11


async def test_the_last_line_about_a_document_counts(
    store: CouchStore, elsewhere: CouchDBSettings, tmp_path: Path
) -> None:
    await store.entities.put(document("kept"))
    await store.entities.put(document("gone"))
    target = tmp_path / "backup"
    await store.backup(target)
    lines = target.read_text().splitlines()
    kept, gone = (next(json.loads(line) for line in lines if f'"guest/{name}"' in line) for name in ("kept", "gone"))
    kept["doc"] |= {"_rev": "2-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "version": "0.0.9"}
    gone["doc"] = None
    more = [json.dumps(line, separators=(",", ":")) for line in (kept, gone)]
    end = json.dumps({"lines": json.loads(lines[-1])["lines"] + 2}, separators=(",", ":"))
    target.write_text("\n".join([*lines[:-1], *more, end]) + "\n")
    assert await restore(target, elsewhere) == 1
    async with CouchStore(elsewhere, KEEP_ALL) as copy:
        found = await copy.entities.get("guest/kept")
        assert found is not None
        assert found.body == {"version": "0.0.9"}
        assert await copy.entities.get("guest/gone") is None


async def test_databases_that_hold_something_are_left_alone(store: CouchStore, settings: CouchDBSettings, tmp_path: Path) -> None:
    await store.entities.put(document())
    target = tmp_path / "backup"
    await store.backup(target)
    with pytest.raises(DataFolderError, match="not empty"):
        await restore(target, settings)


@pytest.mark.parametrize("how", ["cut", "short", "junk", "other form", "none"])
async def test_what_is_no_whole_backup(store: CouchStore, elsewhere: CouchDBSettings, tmp_path: Path, how: str) -> None:
    for number in range(5):
        await store.entities.put(document(f"a{number}"))
    target = tmp_path / "backup"
    await store.backup(target)
    lines = target.read_bytes().splitlines(keepends=True)
    damaged = {
        "cut": target.read_bytes()[:-40],
        "short": b"".join([*lines[:2], *lines[3:]]),
        "junk": b"\x00" * 1000,
        "other form": b"".join([lines[0].replace(b"-1", b"-9"), *lines[1:]]),
        "none": b"",
    }
    target.write_bytes(damaged[how])
    with pytest.raises(DataFolderError):
        await restore(target, elsewhere)


async def test_another_fleets_key(store: CouchStore, elsewhere: CouchDBSettings, tmp_path: Path) -> None:
    """Nothing is made before the key is known to be the right one."""
    target = tmp_path / "backup"
    await store.backup(target)
    for key in (tmp_path / "none", tmp_path / "other"):
        if key.name == "other":
            key.write_bytes(b"x" * 32)
        with pytest.raises(ConfigurationError, match=r"couchdb\.key_file"):
            await restore(target, msgspec.structs.replace(elsewhere, key_file=str(key)))
    assert not (tmp_path / "none").exists()
    with pytest.raises(ConfigurationError, match="upwhisk init"):
        async with CouchStore(elsewhere, KEEP_ALL):
            pass


async def test_a_backup_that_cannot_be_written(store: CouchStore, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        await store.backup(tmp_path / "no" / "folder")
    await store.aclose()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.backup(tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))
