"""Users of CouchDB for the processes of a fleet, with the rights that each needs. Only a server administrator can do it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from upwhisk.backends.store.couchdb_answers import Answer, reason_of
from upwhisk.backends.store.couchdb_body import body_of
from upwhisk.backends.store.couchdb_client import Call, CouchClient, escaped
from upwhisk.backends.store.couchdb_views import DESIGNS
from upwhisk.common.errors import ConfigurationError, StoreUnavailable
from upwhisk.common.secret_file import read_secret
from upwhisk.common.settings import CouchDBSettings
from upwhisk.common.spi.roles import Role

_KEPT = "activations"
"""The database whose old records controllers remove and compact, which needs its administrator."""
_ONLY_READ = ("subjects", "whisks")
"""By nodes. They write no records either, but CouchDB would ask JavaScript about each one."""
_GUARD = "_design/upwhisk-rights"
_REFUSE_NODES = """function (doc, old, user) {
  if (user.roles.indexOf("%s") >= 0 && user.roles.indexOf("%s") < 0) {
    throw({forbidden: "nodes read here, and do not write"});
  }
}"""
_RACES = 5
Fields = dict[str, Any]


async def grant(client: CouchClient, account: CouchDBSettings, role: Role) -> str:
    """Have the user of `account`, with its password, as a member of the three databases; what was done. Repeatable. One who
    is both a controller and a node, by two calls, may do what each may."""
    user = account.user
    if not user:
        raise ConfigurationError("couchdb.user", f"is not set in the settings of a {role}")
    if user == client.settings.user:
        return f"documents: the {role} is the administrator '{user}'"
    password = await asyncio.to_thread(read_secret, account.password_file, "couchdb.password_file")
    titles = await _write_user(client, user, password, _title(client, role))
    for name in DESIGNS:
        await _let_in(client, name, user, keeps=_title(client, "controller") in titles and name == _KEPT)
    for name in _ONLY_READ:
        await _refuse_nodes(client, name)
    return f"documents: '{user}' has the rights of a {role}"


def _title(client: CouchClient, role: Role) -> str:
    """CouchDB's role for the users of ours."""
    return f"{client.settings.prefix}{role}"


async def _write_user(client: CouchClient, user: str, password: str, title: str) -> Sequence[str]:
    """All titles that the user has now."""
    _must(await client.send(Call(method="PUT", path="/_users", lane="write")), "users", 412)

    def changed(before: Fields) -> Fields:
        roles = sorted({*before.get("roles", ()), title})
        revision = {"_rev": before["_rev"]} if before else {}
        return {**revision, "name": user, "password": password, "roles": roles, "type": "user"}

    written = await _write(client, f"/_users/{escaped(f'org.couchdb.user:{user}')}", f"user '{user}'", changed)
    titles: Sequence[str] = written["roles"]
    return titles


async def _refuse_nodes(client: CouchClient, name: str) -> None:
    check = _REFUSE_NODES % (_title(client, "node"), _title(client, "controller"))

    def changed(before: Fields) -> Fields:
        return {**before, "language": "javascript", "validate_doc_update": check}

    await _write(client, f"{client.database(name)}/{_GUARD}", f"guard of {name}", changed)


async def _write(client: CouchClient, path: str, what: str, changed: Callable[[Fields], Fields]) -> Fields:
    """What the document is afterwards. Nothing is written where it is so already."""
    for _ in range(_RACES):
        found = await client.send(Call(method="GET", path=path))
        before = found.fields() if found.is_ok else {}
        after = changed(before)
        if after == before:
            return after
        answer = await client.send(Call(method="PUT", path=path, body=body_of(after), lane="write"))
        if answer.status != 409:
            _must(answer, what)
            return after
    raise StoreUnavailable(f"The {what} is being changed by others; try again.")


async def _let_in(client: CouchClient, name: str, user: str, *, keeps: bool) -> None:
    path = f"{client.database(name)}/_security"
    answer = await client.send(Call(method="GET", path=path))
    _must(answer, f"rights of {name}")
    before = answer.fields()
    after = {**before, "members": _with(before.get("members"), user, True), "admins": _with(before.get("admins"), user, keeps)}
    if after != before:
        written = await client.send(Call(method="PUT", path=path, body=body_of(after), lane="write"))
        _must(written, f"rights of {name}")


def _with(group: Any, user: str, is_in: bool) -> dict[str, Any]:
    """Pure: one of the two groups of a database's rights, with or without `user`."""
    known: dict[str, Any] = group if isinstance(group, dict) else {}
    names = [each for each in known.get("names") or () if each != user]
    return {"roles": [], **known, "names": [*names, user] if is_in else names}


def _must(answer: Answer, what: str, also: int = 200) -> None:
    if not answer.is_ok and answer.status != also:
        raise StoreUnavailable(f"CouchDB does not give the {what}: {reason_of(answer)}.")
