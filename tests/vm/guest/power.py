"""Works on a store on the second disk until somebody pulls the plug; the serial line tells what was acknowledged.

Arguments: durability, round, and how many acknowledgements until the process kills itself (0: never).
Lines: `HAVE <kind> <round> <ranges>`, `CHECKED <result of SQLite's integrity check>`, `ACK <kind> <round> <number>`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import Literal, cast

import msgspec
from fakes.samples import document, message, record

from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.ids import ActivationId
from upwhisk.common.settings import RetentionSettings, StoreSettings
from upwhisk.common.spi.store import ActivationQuery, EntityQuery

FOLDER = Path("/data/store")
KEEP_ALL = RetentionSettings(max_age_s=0, max_records=0, max_mb=0)
SEGMENT_BYTES = 64 * 1024
BATCH = 8


def identity(round_: int, number: int) -> ActivationId:
    return ActivationId(f"{round_:08x}{number:024x}")


def store(durability: str) -> SQLiteStore:
    """Small segments of the log: the plug is to be pulled while they change, too."""
    settings = StoreSettings(durability=cast(Literal["process", "power"], durability), min_free_mb=1)
    return SQLiteStore(FOLDER, settings, KEEP_ALL, segment_bytes=SEGMENT_BYTES)


async def check(durability: str) -> None:
    """Say everything that is there."""
    async with store(durability) as opened:
        rows = await opened.activations.list(ActivationQuery(namespace="guest"))
        _say("recorded", [msgspec.json.decode(row)["activationId"] for row in rows])
        _say("pending", [entry.message.activation_id for entry in await opened.journal.pending()])
        found = await opened.entities.list(EntityQuery(namespace="guest", collection="actions"))
        _say("entity", [each.name for each in found])
    with sqlite3.connect(FOLDER / "upwhisk.db") as connection:
        print("CHECKED", *connection.execute("PRAGMA integrity_check").fetchone(), flush=True)
    connection.close()


def _say(kind: str, ids: list[str]) -> None:
    rounds: dict[int, list[int]] = defaultdict(list)
    for each in ids:
        rounds[int(each[:8], 16)].append(int(each[8:], 16))
    for round_, numbers in sorted(rounds.items()):
        print("HAVE", kind, round_, _ranges(sorted(numbers)), flush=True)


def _ranges(numbers: list[int]) -> str:
    """Of ascending numbers; one that occurs twice is said twice."""
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(f"{first}-{last}" for first, last in ranges)


async def work(durability: str, round_: int, enough: int) -> None:
    """Batches of everything that the store promises to keep, one acknowledgement each."""
    acknowledged = 0
    async with store(durability) as opened:
        for batch in count():
            numbers = range(batch * BATCH, (batch + 1) * BATCH)
            for kind, number in await asyncio.gather(*(_one(opened, round_, n) for n in numbers)):
                print("ACK", kind, round_, number, flush=True)
                acknowledged += 1
                if acknowledged == enough:
                    os.kill(os.getpid(), signal.SIGKILL)


async def _one(opened: SQLiteStore, round_: int, number: int) -> tuple[str, int]:
    id_ = identity(round_, number)
    if number % BATCH == 0:
        await opened.entities.put(document(id_))
        return "entity", number
    if number % 4 != 1:
        await opened.journal.accept([message(id_)])
    if number % 4 == 2:
        return "pending", number
    await opened.journal.settle(record(id_, result={"padding": "x" * 600}))
    return "recorded", number


def main(durability: str, round_: str, enough: str) -> int:
    # Whatever was not flushed is written back early and in no particular order, so that a cut leaves something half-done.
    for name in ("dirty_expire_centisecs", "dirty_writeback_centisecs"):
        Path("/proc/sys/vm", name).write_text("30", encoding="ascii")
    subprocess.run(["mount", "-t", "ext4", "-o", "commit=1", "/dev/vdb", "/data"], check=True)
    asyncio.run(check(durability))
    print("WRITING", flush=True)
    if enough != "0":
        again = [sys.executable, __file__, "work", durability, round_, enough]
        killed = subprocess.run(again, check=False).returncode
        print("KILLED", killed, flush=True)
        asyncio.run(check(durability))
        return 0
    asyncio.run(work(durability, int(round_), 0))
    return 1


if __name__ == "__main__":
    if sys.argv[1] == "work":
        asyncio.run(work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    else:
        sys.exit(main(*sys.argv[1:4]))
