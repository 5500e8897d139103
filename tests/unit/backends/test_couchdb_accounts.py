"""What `grant` writes, and whom the guard that it leaves refuses; by CouchDB's own means in `tests/fleet/test_rights.py`."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from fakes.clock import HastyClock
from fakes.scripted_couch import Asked, Reaction, Say, ScriptedCouch, scripted

from upwhisk.backends.store.couchdb_accounts import grant
from upwhisk.backends.store.couchdb_client import CouchClient
from upwhisk.backends.store.couchdb_reach import Reach
from upwhisk.common.settings import CouchDBSettings
from upwhisk.common.spi.roles import Role

GUARDS = [f"/upwhisk_{name}/_design/upwhisk-rights" for name in ("subjects", "whisks")]


class Documents:
    """Keeps what is put where."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.written: list[str] = []

    def react(self, asked: Asked) -> Reaction:
        path = unquote(asked.path)
        if asked.method == "PUT":
            self.written.append(path)
            self.there[path] = {**(asked.json if asked.body else {}), "_rev": f"{len(self.written)}-x"}
            return Say(201, {})
        if path.endswith("/_security"):
            return Say(200, self.there.get(path, {}))
        return Say(200, self.there[path]) if path in self.there else Say(404)

    async def grant(self, user: str, role: Role, folder: Path) -> dict[str, Any]:
        """The user's document afterwards."""
        password = folder / "password"
        password.write_text("secret")
        clock = HastyClock()
        async with scripted(ScriptedCouch(react=self.react)) as couch:
            client = CouchClient(CouchDBSettings(url=couch.url), Reach(clock), clock)
            await client.open()
            try:
                await grant(client, CouchDBSettings(user=user, password_file=str(password)), role)
            finally:
                await client.aclose()
        return self.there[f"/_users/org.couchdb.user:{user}"]


async def test_users_get_the_role_and_the_databases_a_guard(tmp_path: Path) -> None:
    documents = Documents()
    assert (await documents.grant("ann", "controller", tmp_path))["roles"] == ["upwhisk_controller"]
    assert (await documents.grant("bob", "node", tmp_path))["roles"] == ["upwhisk_node"]
    assert [path for path in documents.written if "_design" in path] == GUARDS
    assert "validate_doc_update" in documents.there[GUARDS[0]]


async def test_who_is_both_keeps_both(tmp_path: Path) -> None:
    documents = Documents()
    await documents.grant("ann", "controller", tmp_path)
    assert (await documents.grant("ann", "node", tmp_path))["roles"] == ["upwhisk_controller", "upwhisk_node"]
    assert documents.there["/upwhisk_activations/_security"]["admins"]["names"] == ["ann"], "old records are purged by it"
    assert documents.there["/upwhisk_whisks/_security"]["admins"]["names"] == []


@pytest.mark.skipif(shutil.which("node") is None, reason="needs nodejs")
@pytest.mark.parametrize(
    ("roles", "may_write"),
    [
        (["upwhisk_node"], False),
        (["other", "upwhisk_node"], False),
        (["upwhisk_node", "upwhisk_controller"], True),
        (["upwhisk_controller"], True),
        (["_admin"], True),
        ([], True),  # a login that somebody made by hand
    ],
)
async def test_the_guard_refuses_nodes_alone(roles: list[str], may_write: bool, tmp_path: Path) -> None:
    documents = Documents()
    await documents.grant("bob", "node", tmp_path)
    check = documents.there[GUARDS[1]]["validate_doc_update"]
    code = f"try {{ ({check})({{}}, null, {json.dumps({'roles': roles})}); console.log('yes'); }} catch (e) {{ console.log(e.forbidden); }}"
    said = subprocess.run(["node", "-e", code], capture_output=True, text=True, check=True).stdout.strip()
    assert said == ("yes" if may_write else "nodes read here, and do not write")
