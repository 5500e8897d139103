"""Rounds of load and kill -9 against one data folder, each followed by a look at every promise."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from crash import victims
from crash.actions import deploy_all
from crash.asking import Records
from crash.load import Book, Load
from crash.outside import Effects
from crash.verdict import Record, Seen, attempts, kinds, unseen, violations
from fakes.running import Running

CAPACITY = 16
SETTINGS = {
    "UPWHISK_NODE_MEMORY_MB": str(CAPACITY * 128),
    "UPWHISK_POOL_FREEZE_AFTER_S": "0.3",
    "UPWHISK_RETENTION_MAX_AGE_S": "0",
    "UPWHISK_RETENTION_MAX_MB": "0",
    "UPWHISK_LOG_LEVEL": "warning",
}
_CLEAN_S = 10.0
_LOAD_S = 60.0
_AT_ONCE_IN_ONE = 4


@dataclass
class Tally:
    """Sums over all rounds."""

    rounds: int = 0
    ids: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    """Records of retry-safe actions by the attempt that they tell of."""
    refused: Counter[str] = field(default_factory=Counter)
    frozen: int = 0
    unseen: int = 0
    fewest_ids: int = 0
    violations: list[str] = field(default_factory=list)


class Crashes:
    """`ids`: how many a round gives out at least before the platform is killed. Repeatable by `seed`, as far as the
    machine's own timing is."""

    def __init__(self, data: Path, effects: Effects, *, ids: int, seed: str) -> None:
        self.platform = Running(data, dict(SETTINGS))
        self.tally = Tally()
        self._effects = effects
        self._ids = ids
        self._seed = seed
        self._dead: set[str] = set()
        self._told: set[str] = set()

    def begin(self) -> None:
        self.platform.start()
        deploy_all(self.platform)

    def play(self, number: int, victim: str) -> list[str]:
        """One round; returns what was violated."""
        seed = f"{self._seed}-{number}"
        choice = random.Random(seed)
        began_ms = int(time.time() * 1000)
        book, kills = self._load_and_kill(seed, victim, choice)
        if victim == "recovery":
            kills += self._kill_while_recovering(choice)
        self.platform.start()
        found = self._remains()
        ids = [one.id for one in book.given]
        got, listed = asyncio.run(Records(self.platform).read(ids, began_ms - 1000))
        alone = victim in ("guest", "zygote")
        seen = Seen(book.given, got, listed, kills, CAPACITY * _AT_ONCE_IN_ONE, alone)
        found += [one for one in violations(seen, self._effects.runs.copy()) if one not in self._told]
        self._told.update(found)
        self._count(book, got, victim, kills, len(unseen(seen, self._effects.by_id)))
        self.tally.violations += [f"round {number} ({victim}): {text}" for text in found]
        return found

    def _load_and_kill(self, seed: str, victim: str, choice: random.Random) -> tuple[Book, int]:
        load = Load(self.platform.url, self.platform.key, seed)
        load.start()
        try:
            target = self._ids + choice.randint(0, self._ids // 4)
            if victim in ("guest", "zygote"):
                self._kill_alone(load.book, victim, choice, target)
            _wait(partial(load.book.holds, target), _LOAD_S, f"{target} accepted ids")
            if choice.random() < 0.4:
                load.rest(1.2)
                time.sleep(choice.uniform(0.5, 1.5))  # among frozen guests, or just as they are thawed
            else:
                time.sleep(choice.uniform(0, 0.1))
            self.tally.frozen += sum(victims.frozen(one) for one in victims.instances())
            self._kill()
        finally:
            book = load.stop()
        return book, 1

    def _kill_alone(self, book: Book, victim: str, choice: random.Random, target: int) -> None:
        """Twice, somewhere on the way."""
        for mark in sorted(choice.randint(target // 10, target * 3 // 4) for _ in range(2)):
            _wait(partial(book.holds, mark), _LOAD_S, f"{mark} accepted ids")
            find = victims.guests if victim == "guest" else victims.zygotes
            pids = [pid for instance in victims.instances() - self._dead for pid in find(instance)]
            self.tally.kills[victim] += victims.kill_one(pids, choice)

    def _kill(self) -> None:
        self._dead |= victims.instances()
        self.platform.kill()
        self.tally.kills["platform"] += 1

    def _kill_while_recovering(self, choice: random.Random) -> int:
        """Start it and kill it again, at once or when it has just begun to work; once or twice."""
        times = choice.randint(1, 2)
        for _ in range(times):
            starting = threading.Thread(target=self._start_that_may_fail)
            starting.start()
            time.sleep(choice.uniform(0.1, 1.6))
            self._kill()
            starting.join(30)
            self.tally.kills["in recovery"] += 1
        return times

    def _start_that_may_fail(self) -> None:
        try:
            self.platform.start()
        except AssertionError:
            pass  # killed before it was ready

    def _remains(self) -> list[str]:
        self._dead -= victims.instances()
        deadline = time.monotonic() + _CLEAN_S
        while (left := victims.remains(self._dead)) and time.monotonic() < deadline:
            time.sleep(0.1)
        self._dead = {one for one in self._dead if left}
        return [f"left behind: {one}" for one in left]

    def _count(self, book: Book, got: dict[str, Record], victim: str, kills: int, lost: int) -> None:
        tally = self.tally
        tally.rounds += 1
        tally.ids += len(book)
        tally.fewest_ids = min(len(book), tally.fewest_ids or len(book))
        tally.calls.update(f"{one.what} {one.status}" for one in book.given)
        tally.ends.update(kinds(got.values()))
        tally.attempts.update(attempts(got.values()))
        tally.refused += book.refused
        tally.unseen += lost

    def clear(self) -> None:
        """Whatever happened: leave nothing on this machine. An orderly start removes what the dead have left."""
        process = self.platform.process
        if process is not None and process.poll() is None:
            self.platform.stop()
        if victims.instances():
            self.platform.start().stop()

    def end(self) -> None:
        """Stop it in order, then read the store itself: no id twice."""
        if self.platform.stop() != 0:
            self.tally.violations.append("the platform did not stop in order")
        with sqlite3.connect(f"file:{self.platform.data}/upwhisk.db?mode=ro", uri=True) as database:
            twice = database.execute("SELECT hex(id), count(*) FROM records GROUP BY id HAVING count(*) > 1").fetchall()
            both = database.execute("SELECT hex(id) FROM records WHERE id IN (SELECT id FROM journal)").fetchall()
            (pending,) = database.execute("SELECT count(*) FROM journal").fetchone()
        database.close()
        self.tally.violations += [f"in the store twice: {one}" for one in (*twice, *both)]
        if pending:
            self.tally.violations.append(f"{pending} entries of the journal were never settled")


def _wait(condition: Callable[[], bool], deadline_s: float, what: str) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(0.005)
