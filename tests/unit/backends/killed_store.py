"""The process that gets killed: lives activations and tells, on standard output, what it was answered."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from fakes.samples import message, record

from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.ids import ActivationId
from upwhisk.common.settings import RetentionSettings, StoreSettings


def tell(what: str, id: ActivationId) -> None:
    os.write(1, f"{what} {id}\n".encode())


async def live(store: SQLiteStore, number: int) -> None:
    journal = store.journal
    while True:
        work = message()
        if number % 4 == 0:
            assert await journal.settle(record(work.activation_id))
            tell("settled", work.activation_id)
            continue
        await journal.accept([work])
        tell("accepted", work.activation_id)
        if number % 4 == 1:
            await asyncio.sleep(0.001)
            continue  # stays in the queue
        await journal.begin(work.activation_id, 1)
        tell("begun", work.activation_id)
        if number % 4 == 3 and await journal.settle(record(work.activation_id)):
            tell("settled", work.activation_id)
        await asyncio.sleep(0)


async def main(folder: str, durability: str) -> None:
    settings = StoreSettings(durability="power" if durability == "power" else "process")
    store = SQLiteStore(Path(folder), settings, RetentionSettings(max_age_s=0, max_mb=0), None, 200_000)
    await store.start()
    async with asyncio.TaskGroup() as group:
        for number in range(12):
            group.create_task(live(store, number))


asyncio.run(main(sys.argv[1], sys.argv[2]))
