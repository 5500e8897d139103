"""The operation `backup` of a running platform's admin socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from upwhisk.common.spi.store import DocumentStore
from upwhisk.controller.admin_answer import Answer


class BackupTo(msgspec.Struct, forbid_unknown_fields=True):
    """`target`: absolute path of a file that does not exist yet, as the platform's own user sees it."""

    target: str


def backup_operations(store: DocumentStore) -> dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]]:
    """To be served beside `upwhisk.controller.admin.operations`."""

    async def backup(arguments: dict[str, Any]) -> Answer:
        try:
            target = Path(msgspec.convert(arguments, BackupTo).target)
        except msgspec.ValidationError as error:
            return Answer(f"backup: {error}", 2)
        return await write_backup(store, target)

    return {"backup": backup}


async def write_backup(store: DocumentStore, target: Path) -> Answer:
    """What is there already is not replaced; `StoreUnavailable` when the file cannot be written."""
    obstacle = _obstacle(target)
    if obstacle:
        return Answer(f"Failed to write the backup ({obstacle})", 1)
    await store.backup(target)
    return Answer(f"Backup written to {target} ({_size(target)} bytes; it holds all keys: keep it safe)")


def _obstacle(target: Path) -> str:
    if not target.is_absolute() or not target.parent.is_dir():
        return f"there is no folder '{target.parent}'"
    return f"'{target}' exists" if target.exists() else ""


def _size(target: Path) -> int:
    return target.stat().st_size
