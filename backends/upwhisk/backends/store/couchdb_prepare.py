"""The three databases and their design documents: made by `prepare`, checked at every start; and the fleet's key."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from upwhisk.backends.store.couchdb_answers import Answer, reason_of
from upwhisk.backends.store.couchdb_body import body_of
from upwhisk.backends.store.couchdb_client import LONG_S, Call, CouchClient, Denied, Unreached, escaped
from upwhisk.backends.store.couchdb_views import DESIGNS, VERSION, design_id
from upwhisk.backends.store.folder import write_private
from upwhisk.backends.store.sealing import KEY_BYTES, proof_of
from upwhisk.common.errors import ConfigurationError, StartupError, StoreUnavailable
from upwhisk.common.settings import CouchDBSettings

log = structlog.get_logger(__name__)

KEY_ID = "upwhisk/key"
"""The document of the subjects database that tells the fleet's key from others."""
_INIT = "run 'upwhisk init'"
_RACES = 5


def is_ours(id: str) -> bool:
    """Whether `prepare` makes it: no document of users."""
    return id.startswith("_design/") or id == KEY_ID


async def greet(client: CouchClient) -> None:
    """`ConfigurationError` if what answers is no CouchDB."""
    answer = await client.send(Call(method="GET", path="/"))
    try:
        answer.fields()
    except ValueError:
        text = f"what answers at {client.settings.url} is no CouchDB ({answer.status})"
        raise ConfigurationError("couchdb.url", text) from None


def explained(settings: CouchDBSettings, error: StoreUnavailable) -> StartupError:
    """Why a process cannot start, with the setting to mend."""
    if isinstance(error, Unreached):
        setting = "couchdb.ca_file" if error.certificate else "couchdb.url"
        return ConfigurationError(setting, f"no CouchDB at {settings.url}: {error.why}")
    if not isinstance(error, Denied):
        return StartupError(error.text)
    if error.status == 401:
        text = f"CouchDB does not accept '{settings.user}' with the password in couchdb.password_file ({error.why})"
    else:
        text = (
            f"CouchDB refuses '{settings.user}' ({error.why}): it has no right to the databases that begin with"
            f" '{settings.prefix}', or is locked for some minutes after wrong passwords in couchdb.password_file"
        )
    return ConfigurationError("couchdb.user", text)


async def check(client: CouchClient, databases: Iterable[str]) -> None:
    """Whether `databases` are as this release needs them; `StartupError` says what is missing."""
    settings = client.settings
    for name in databases:
        found = await _design(client, name)
        if found is None:
            text = f"the database '{settings.prefix}{name}' or its views are not there: {_INIT}"
            raise ConfigurationError("couchdb.prefix", text)
        if _content(found) != DESIGNS[name]:
            raise StartupError(f"the views of the database '{settings.prefix}{name}' are not ours: {_INIT}")


async def fleet_key(client: CouchClient) -> bytes:
    """The key that opens the stored logins. `ConfigurationError`: there is none, or it is not the fleet's."""
    proof = await stored_proof(client)
    if proof is None:
        raise ConfigurationError("couchdb.key_file", f"the fleet has no key yet: {_INIT}")
    return await asyncio.to_thread(read_key, client.settings.key_file, proof)


def read_key(file: str, proof: str) -> bytes:
    """Blocking. `ConfigurationError` if there is none, or it is not the one that `proof` is of."""
    if not file:
        raise ConfigurationError("couchdb.key_file", "is not set; it names a copy of the file that 'upwhisk init' made")
    try:
        key = Path(file).read_bytes()
    except FileNotFoundError:
        raise ConfigurationError("couchdb.key_file", f"there is no '{file}': copy it from a machine of the fleet") from None
    except OSError as error:
        raise ConfigurationError("couchdb.key_file", f"cannot read '{file}': {error.strerror}") from None
    if proof_of(key).hex() != proof:
        raise ConfigurationError("couchdb.key_file", f"'{file}' is not the fleet's key")
    return key


async def prepare(client: CouchClient, version: int = VERSION) -> list[str]:
    """Make what is missing, and say what that was; any number of times, by any number of machines at once.

    Views of the version before stay, for the release that still runs beside this one; older ones go. The first one makes the key file too. Making databases needs a server administrator, making views one of the database.
    """
    await greet(client)
    done: list[str] = []
    try:
        for name in DESIGNS:
            done += await _make_database(client, name)
        done += await _make_key(client)
        for name in DESIGNS:
            done += await _make_design(client, name, version)
    except Denied as error:  # the password is right: `greet` was answered
        text = f"CouchDB does not let '{client.settings.user}' make databases and views ({error.why})"
        raise ConfigurationError("couchdb.user", text) from None
    return done


async def _make_database(client: CouchClient, name: str) -> list[str]:
    path = client.database(name)
    if (await client.send(Call(method="GET", path=path))).is_ok:
        return []  # asked first, so that a user who may not make one can find that all is there
    answer = await client.send(Call(method="PUT", path=path, lane="write", timeout_s=LONG_S))
    if answer.status == 412:  # somebody made it just now
        return []
    return _made(answer, f"database {client.settings.prefix}{name}")


async def _make_key(client: CouchClient) -> list[str]:
    """The fleet has one key: the first machine's, whose proof lies in the database."""
    settings = client.settings
    if await stored_proof(client) is None:
        if not settings.key_file:
            raise ConfigurationError("couchdb.key_file", "is not set; the fleet's key is made there")
        key = await asyncio.to_thread(_new_key, settings.key_file)
        answer = await _write(client, "subjects", {"_id": KEY_ID, "proof": proof_of(key).hex()})
        if answer.status != 409:
            return _made(answer, f"key file {settings.key_file}")
    await fleet_key(client)
    return []


def _new_key(file: str) -> bytes:
    """The key in `file`, made now if there is none. Of two processes that make it, one does."""
    path = Path(file)
    try:
        if not path.exists():
            _make_key_file(path)
        key = path.read_bytes()
    except OSError as error:
        raise ConfigurationError("couchdb.key_file", f"cannot make '{file}': {error.strerror}") from None
    if len(key) != KEY_BYTES:
        raise ConfigurationError("couchdb.key_file", f"'{file}' is no key: it has {len(key)} bytes and not {KEY_BYTES}")
    return key


def _make_key_file(path: Path) -> None:
    part = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    try:
        write_private(part, os.urandom(KEY_BYTES))
        with suppress(FileExistsError):
            path.hardlink_to(part)
    finally:
        part.unlink(missing_ok=True)


async def stored_proof(client: CouchClient) -> str | None:
    """What tells the fleet's key from others; None before the first `prepare`."""
    answer = await client.send(Call(method="GET", path=f"{client.database('subjects')}/{escaped(KEY_ID)}"))
    if answer.status == 404:
        return None
    _made(answer, "key")
    return str(answer.fields().get("proof"))


async def _make_design(client: CouchClient, name: str, version: int) -> list[str]:
    """Ours, if it is not there as it should be; that of a version that nobody runs any more goes."""
    what = f"views of {client.settings.prefix}{name}"
    for _ in range(_RACES):
        found = await _design(client, name, version)
        if found is not None and _content(found) == DESIGNS[name]:
            return []
        fields = {"_id": design_id(name, version), "language": "javascript", **DESIGNS[name]}
        answer = await _write(client, name, fields if found is None else {**fields, "_rev": found["_rev"]})
        if answer.status != 409:
            await _remove_design(client, name, version - 2)
            return _made(answer, what)
    raise StoreUnavailable(f"The {what} are being changed by others; try again.")


async def _remove_design(client: CouchClient, name: str, version: int) -> None:
    found = await _design(client, name, version)
    if found is not None:
        await _write(client, name, {"_id": found["_id"], "_rev": found["_rev"], "_deleted": True})


async def _design(client: CouchClient, name: str, version: int = VERSION) -> dict[str, Any] | None:
    answer = await client.send(Call(method="GET", path=f"{client.database(name)}/{design_id(name, version)}"))
    if answer.status == 404:
        return None
    _made(answer, f"views of {client.settings.prefix}{name}")
    return answer.fields()


async def _write(client: CouchClient, name: str, fields: dict[str, Any]) -> Answer:
    call = Call(method="POST", path=client.database(name), body=body_of(fields), lane="write", timeout_s=LONG_S)
    return await client.send(call)


def _content(design: dict[str, Any]) -> dict[str, Any]:
    return {key: design[key] for key in ("views", "validate_doc_update") if key in design}


def _made(answer: Answer, what: str) -> list[str]:
    if not answer.is_ok:
        raise StoreUnavailable(f"CouchDB does not give the {what}: {reason_of(answer)}.")
    return [what]
