"""What lies in the databases, as whoever looks past us sees it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.couch import DATABASES, asking
from fakes.samples import document, record
from services.couchdb import Server

from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.backends.store.couchdb_views import design_id
from upwhisk.common.model.action import ATTACH_ABOVE, Action, Exec, from_document, to_document
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.names import EntityName
from upwhisk.common.settings import CouchDBSettings

KEY = "s3cr3t" * 11


async def read(server: Server, path: str) -> Any:
    async with asking(server) as client, client.get(path) as answer:
        return json.loads(await answer.read())


async def test_large_code_is_an_attachment(couchdb: Server, settings: CouchDBSettings, store: CouchStore) -> None:
    name = EntityName("guest", "tools", "hello & co")
    action = Action(name=name, exec=Exec("python:3.11", code="x" * (ATTACH_ABOVE + 1)))
    await store.entities.put(to_document(action))
    stored = await read(couchdb, f"/{settings.prefix}whisks/guest%2Ftools%2Fhello%20%26%20co")
    assert stored["entityType"] == "action"
    assert (stored["namespace"], stored["name"]) == ("guest/tools", "hello & co")
    assert "code" not in stored["exec"]
    assert stored["_attachments"]["code"]["length"] == ATTACH_ABOVE + 1
    found = await store.entities.get(name.document_id, attachment=True)
    assert found is not None
    assert from_document(found).exec.code == action.exec.code


async def test_a_record_has_openwhisks_fields(couchdb: Server, settings: CouchDBSettings, store: CouchStore) -> None:
    written = record()
    await store.activations.put([written])
    stored = await read(couchdb, f"/{settings.prefix}activations/guest%2F{written.activation_id}")
    expected = json.loads((await store.activations.get("guest", written.activation_id)) or b"")
    assert {key: value for key, value in stored.items() if key[0] != "_" and key != "upwhisk"} == expected


async def test_keys_are_readable_nowhere(couchdb: Server, settings: CouchDBSettings, store: CouchStore) -> None:
    await store.subjects.put(Subject("anna.m", (NamespaceKey("anna.m", "u-1", KEY),)))
    await store.subjects.put_limits("anna.m", NamespaceLimits(fires_per_minute=1))
    stored = await read(couchdb, f"/{settings.prefix}subjects/anna.m")
    assert (stored["subject"], stored["namespaces"][0]["uuid"]) == ("anna.m", "u-1")
    assert await read(couchdb, f"/{settings.prefix}subjects/anna.m%2Flimits") | {"_rev": ""} == {
        "_id": "anna.m/limits",
        "_rev": "",
        "firesPerMinute": 1,
    }
    for name in DATABASES:
        assert KEY not in json.dumps(await read(couchdb, f"/{settings.prefix}{name}/_all_docs?include_docs=true"))


async def test_rubbish_is_not_let_in(couchdb: Server, settings: CouchDBSettings) -> None:
    async with asking(couchdb) as client:
        for rubbish in ({"a": 1}, {"entityType": "action", "namespace": "guest", "name": "x"}):
            async with client.post(f"/{settings.prefix}whisks", json={"_id": "guest/x", **rubbish}) as answer:
                assert answer.status == 403


async def test_the_maps_run(couchdb: Server, settings: CouchDBSettings, store: CouchStore) -> None:
    """A map that throws gives no rows and no error: each view has to have its row."""
    await store.entities.put(document("pkg", collection="packages", body={"publish": True}))
    await store.activations.put([record()])
    await store.subjects.put(Subject("anna.m", (NamespaceKey("anna.m", "u-1", KEY),)))
    views = {
        "whisks": ("entities", "packaged", "public"),
        "activations": ("records", "named", "oldest"),
        "subjects": ("uuids", "namespaces"),
    }
    for database, names in views.items():
        for name in names:
            path = f"/{settings.prefix}{database}/{design_id(database)}/_view/{name}?reduce=false"
            assert len((await read(couchdb, path))["rows"]) == 1, name


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
async def test_attachments_of_any_size(store: CouchStore, size: int) -> None:
    code = bytes(range(251)) * (size // 251 + 1)
    revision = await store.entities.put(document(attachment=code[:size]))
    kept = await store.entities.put(document(revision=revision, has_attachment=True, body={"n": 1}))
    found = await store.entities.get("guest/hello", attachment=True)
    assert found is not None
    assert (found.revision, found.attachment) == (kept, code[:size])
