"""Backup of the three databases: one file of mode 0600, a JSON text a line.

The file holds, for each database, the state at one moment: what was changed while it was read follows further down, and the
last line about a document counts. Logins are sealed in it as in CouchDB; the fleet's key is not in it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any

import msgspec

from upwhisk.backends.store import couchdb_prepare
from upwhisk.backends.store.couchdb_client import LONG_S, Call, CouchClient, escaped
from upwhisk.backends.store.couchdb_pages import NULL, read_json
from upwhisk.backends.store.couchdb_views import DESIGNS
from upwhisk.backends.store.folder import sync_folder
from upwhisk.common.errors import StoreUnavailable

FORMAT = "upwhisk-couchdb-1"
_PAGE = 500
_encode = msgspec.json.Encoder().encode


class Head(msgspec.Struct):
    format: str
    proof: str


class Line(msgspec.Struct):
    """`doc` as CouchDB gives it, attachments inside; `null`: it was deleted."""

    database: str
    id: str
    doc: msgspec.Raw = NULL


class End(msgspec.Struct):
    """The last line: a file without it broke off."""

    lines: int


class _Change(msgspec.Struct):
    id: str
    deleted: bool = False
    doc: msgspec.Raw = NULL


class _Changes(msgspec.Struct):
    last_seq: Any
    results: list[_Change] = []


class _Attached(msgspec.Struct):
    revision: str = msgspec.field(name="_rev")
    attachments: dict[str, Any] = msgspec.field(name="_attachments", default_factory=dict)


async def write_backup(client: CouchClient, target: Path) -> None:
    """`StoreUnavailable` leaves no file behind."""
    part = target.with_name(target.name + ".part")
    try:
        await _write_part(client, part)
        await asyncio.to_thread(_finish, part, target)
    except OSError as error:
        raise StoreUnavailable(f"The backup '{target}' cannot be written: {error.strerror}.") from error
    finally:
        await asyncio.to_thread(part.unlink, missing_ok=True)


async def _write_part(client: CouchClient, part: Path) -> None:
    head = Head(FORMAT, str(await couchdb_prepare.stored_proof(client)))
    handle = await asyncio.to_thread(os.open, part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        await asyncio.to_thread(_append, file, [head])
        lines = 0
        for name in DESIGNS:
            async for page in _read(client, name):
                await asyncio.to_thread(_append, file, page)
                lines += len(page)
        await asyncio.to_thread(_append, file, [End(lines)])


async def _read(client: CouchClient, name: str) -> AsyncIterator[list[Line]]:
    """Everything there is, in the order of its last change; to the end of what there was at one moment, and on while something
    in the last page had been replaced before it could be read. Not to an empty page: on a busy fleet there is none."""
    since: Any = 0
    while True:
        query = {"since": str(since), "limit": str(_PAGE), "include_docs": "true"}
        call = Call(method="GET", path=f"{client.database(name)}/_changes", query=query, timeout_s=LONG_S)
        page = read_json(await client.send(call), _Changes)
        since = page.last_seq
        kept = [change for change in page.results if not couchdb_prepare.is_ours(change.id)]
        lines = [await _line(client, name, change) for change in kept]
        yield lines
        was_replaced = any(line.doc == NULL and not change.deleted for line, change in zip(lines, kept, strict=True))
        if len(page.results) < _PAGE and not was_replaced:
            return


async def _line(client: CouchClient, name: str, change: _Change) -> Line:
    if change.deleted or change.doc == NULL:
        return Line(name, change.id)
    found = msgspec.json.decode(change.doc, type=_Attached)
    if not found.attachments:
        return Line(name, change.id, change.doc)
    query = {"rev": found.revision, "attachments": "true"}
    path = f"{client.database(name)}/{escaped(change.id)}"
    answer = await client.send(Call(method="GET", path=path, query=query, timeout_s=LONG_S))
    if answer.status == 404:  # replaced and compacted away: it comes again further down
        return Line(name, change.id)
    return Line(name, change.id, read_json(answer, msgspec.Raw))


def _append(file: IO[bytes], lines: list[Any]) -> None:
    for line in lines:
        file.write(_encode(line) + b"\n")


def _finish(part: Path, target: Path) -> None:
    handle = os.open(part, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    part.replace(target)
    sync_folder(target.parent)
