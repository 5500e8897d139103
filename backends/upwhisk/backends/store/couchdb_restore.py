"""Restore: fill empty databases with what a backup holds."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from upwhisk.backends.store import couchdb_prepare
from upwhisk.backends.store.couchdb_backup import FORMAT, End, Head, Line
from upwhisk.backends.store.couchdb_body import Body
from upwhisk.backends.store.couchdb_client import LONG_S, Call, CouchClient
from upwhisk.backends.store.couchdb_pages import NULL, read_json
from upwhisk.backends.store.couchdb_reach import Reach
from upwhisk.backends.store.couchdb_views import DESIGNS
from upwhisk.backends.store.database import unavailable
from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import DataFolderError
from upwhisk.common.settings import CouchDBSettings

_BATCH = 500
_BATCH_BYTES = 8 * 1024 * 1024
Last = dict[tuple[str, str], int]
"""Database and document -> the number of the last line about it."""


class _Row(msgspec.Struct):
    id: str


class _Rows(msgspec.Struct):
    rows: list[_Row]


async def restore(source: Path, settings: CouchDBSettings) -> int:
    """Fill the databases, made by `prepare` if need be, with what the backup holds; how many documents that are.

    Their revisions stay. `DataFolderError`: the file is no whole backup, or the databases are not empty.
    `ConfigurationError`: a setting is wrong, `couchdb.key_file` among them. `StoreUnavailable`: not all is there;
    remove the databases and start again.
    """
    head, last = await asyncio.to_thread(_examine, source)
    await asyncio.to_thread(couchdb_prepare.read_key, settings.key_file, head.proof)
    clock = SystemClock()
    client = CouchClient(settings, Reach(clock), clock)
    try:
        await client.open()
        await couchdb_prepare.prepare(client)
        for name in DESIGNS:
            await _check_empty(client, name)
        return await _fill(client, source, last)
    finally:
        await client.aclose()


def _examine(source: Path) -> tuple[Head, Last]:
    """Read the whole file once: is it whole, and which lines count? Records never change: their ids are not kept."""
    last: Last = {}
    number, end = -1, b""
    try:
        with source.open("rb") as file:
            head = msgspec.json.decode(file.readline(), type=Head)
            for number, end in enumerate(file):
                if not _is_end(end) and (line := msgspec.json.decode(end, type=Line)).database != "activations":
                    last[line.database, line.id] = number
            if msgspec.json.decode(end, type=End).lines != number:
                raise ValueError("lines are missing")
    except (OSError, ValueError) as error:
        raise DataFolderError(f"'{source}' is no whole backup of a CouchDB store ({error}): use another") from None
    if head.format != FORMAT:
        raise DataFolderError(f"'{source}' is a backup of another form ({head.format}): use the release that wrote it")
    return head, last


async def _check_empty(client: CouchClient, name: str) -> None:
    call = Call(method="GET", path=f"{client.database(name)}/_all_docs", query={"limit": "5"})
    rows = read_json(await client.send(call), _Rows).rows
    if any(not couchdb_prepare.is_ours(row.id) for row in rows):
        database = client.settings.prefix + name
        raise DataFolderError(f"the database '{database}' is not empty: remove it, or restore with another couchdb.prefix")


async def _fill(client: CouchClient, source: Path, last: Last) -> int:
    filled = 0
    with source.open("rb") as file:
        await asyncio.to_thread(file.readline)
        numbered = enumerate(file)
        while batch := await asyncio.to_thread(_next_batch, numbered, last):
            for name in DESIGNS:
                documents = [line.doc for line in batch if line.database == name and line.doc != NULL]
                await _write(client, name, documents)
                filled += len(documents)
    return filled


def _next_batch(numbered: Any, last: Last) -> list[Line]:
    """Lines that count; none: the end."""
    batch: list[Line] = []
    size = 0
    for number, text in numbered:
        if _is_end(text):
            break
        line = msgspec.json.decode(text, type=Line)
        if line.doc != NULL and last.get((line.database, line.id), number) == number:
            batch.append(line)
            size += len(text)
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            break
    return batch


async def _write(client: CouchClient, name: str, documents: list[msgspec.Raw]) -> None:
    if not documents:
        return
    # Not `new_edits`: the documents come with their revisions, which callers may know.
    parts = [b",", *(part for document in documents for part in (b",", bytes(document)))][2:]
    body = Body([b'{"new_edits":false,"docs":[', *parts, b"]}"])
    path = f"{client.database(name)}/_bulk_docs"
    answer = await client.send(Call(method="POST", path=path, body=body, lane="write", timeout_s=LONG_S))
    refused = read_json(answer, list[dict[str, Any]])
    if any("error" in row for row in refused):
        raise unavailable(f"CouchDB refuses documents of the backup: {refused[0]}")


def _is_end(text: bytes) -> bool:
    return text.startswith(b'{"lines":')
