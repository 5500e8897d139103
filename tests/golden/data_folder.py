"""The process that leaves a data folder behind as a crash does: entities and a record in it, work accepted, some in the log."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec
from golden.samples import ACTION, PENDING, RECORD, TRIGGER, WORK

from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.settings import RetentionSettings, StoreSettings


async def main(folder: Path) -> None:
    retention = RetentionSettings(max_age_s=0, max_mb=0)
    store = SQLiteStore(folder, StoreSettings(), retention, None, 200_000)
    async with store:
        await store.entities.put(msgspec.structs.replace(ACTION, revision=None))
        assert await store.journal.settle(TRIGGER)
    store = SQLiteStore(folder, StoreSettings(), retention, None, 200_000)
    await store.start()
    await store.journal.accept([msgspec.structs.replace(WORK, activation_id=PENDING)], [RECORD])
    await store.journal.begin(PENDING, 1)
    os._exit(0)


asyncio.run(main(Path(sys.argv[1])))
