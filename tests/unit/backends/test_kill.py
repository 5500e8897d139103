"""kill -9 in the middle of work: nothing that was answered is lost, nothing is there twice."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.ids import ActivationId
from upwhisk.common.model.activation import decode_record
from upwhisk.common.spi.store import ActivationQuery

ROUNDS = 3
TESTS = Path(__file__).parents[2]


def told_before_its_death(folder: Path, durability: str, lines: int) -> dict[str, set[str]]:
    """Kill the child once it has told so much; what it told."""
    told: dict[str, set[str]] = defaultdict(set)
    arguments = [sys.executable, str(Path(__file__).with_name("killed_store.py")), str(folder), durability]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, env=environment) as child:
        guard = threading.Timer(60, child.kill)
        guard.start()
        assert child.stdout is not None
        for number, line in enumerate(child.stdout):
            if number == lines:
                child.kill()
            if line.endswith(b"\n"):
                what, _, told_id = line.decode().strip().partition(" ")
                told[what].add(told_id)
        guard.cancel()
    assert sum(len(ids) for ids in told.values()) >= lines, "the child died by itself"
    return told


@pytest.mark.parametrize("durability", ["process", "power"])
async def test_nothing_is_lost_and_nothing_is_there_twice(
    tmp_path: Path, make_store: Callable[..., SQLiteStore], durability: str
) -> None:
    folder = tmp_path / "data"
    all_told: dict[str, set[str]] = defaultdict(set)
    for _ in range(ROUNDS):
        for what, ids in told_before_its_death(folder, durability, random.randrange(500, 3000)).items():
            all_told[what] |= ids
        async with make_store(durability=durability) as store:
            bodies = await store.activations.list(ActivationQuery(namespace="guest"))
            recorded = [decode_record(body).activation_id for body in bodies]
            entries = await store.journal.pending()
            pending = [entry.message.activation_id for entry in entries]
            started = {entry.message.activation_id for entry in entries if entry.attempt == 1}
            assert len(recorded) == len(set(recorded))
            assert len(pending) == len(set(pending))
            assert set(recorded).isdisjoint(pending)
            assert all_told["settled"] <= set(recorded)
            assert all_told["accepted"] <= set(recorded) | set(pending)
            assert all_told["begun"] <= set(recorded) | started
            for settled in random.sample(sorted(all_told["settled"]), 20):
                assert await store.activations.get("guest", ActivationId(settled)) is not None
