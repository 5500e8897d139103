"""Databases of one's own on a CouchDB, for one test."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from services.couchdb import Server, login

from upwhisk.backends.store.couchdb import CouchStore
from upwhisk.common.settings import CouchDBSettings, RetentionSettings

NOBODY = "nobody-here"
"""CouchDB locks a user out after five wrong passwords: those of tests are not an administrator's."""
DATABASES = ("subjects", "whisks", "activations")
KEEP_ALL = RetentionSettings(max_age_s=0, max_records=0, max_mb=0)


def settings_for(server: Server, folder: Path, **others: Any) -> CouchDBSettings:
    """Settings with a random prefix; the files that they name lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    password = folder / "password"
    password.write_text(server.password + "\n")
    return CouchDBSettings(
        **{
            "url": server.address,
            "user": server.user,
            "password_file": str(password),
            "key_file": str(folder / "fleet.key"),
            "prefix": f"test-{uuid.uuid4().hex[:12]}-",
            **others,
        }
    )


@asynccontextmanager
async def fresh(server: Server, folder: Path) -> AsyncIterator[CouchDBSettings]:
    """Settings of databases that are ready for a store, and go afterwards."""
    settings = settings_for(server, folder)
    try:
        await CouchStore.prepare(settings)
        yield settings
    finally:
        async with asking(server) as client:
            for name in DATABASES:
                async with client.delete(f"/{settings.prefix}{name}") as answer:
                    await answer.read()


@asynccontextmanager
async def fresh_store(server: Server, folder: Path) -> AsyncIterator[CouchStore]:
    async with fresh(server, folder) as settings, CouchStore(settings, KEEP_ALL) as store:
        yield store


async def is_gone(client: aiohttp.ClientSession, path: str) -> bool:
    """A cluster may still show for a moment what was deleted."""
    async with client.get(path) as answer:
        return answer.status == 404


@asynccontextmanager
async def asking(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    """Plain requests, past the store."""
    headers = {"Accept": "application/json", **login(server.user, server.password)}
    timeout = aiohttp.ClientTimeout(30)
    async with aiohttp.ClientSession(server.address, headers=headers, timeout=timeout) as session:
        yield session
