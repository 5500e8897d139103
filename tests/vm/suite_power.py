"""Power cuts: `make test-power`. Not among the tests that run by themselves; it boots a machine several times.

The plug is pulled by killing qemu: what the machine had not flushed to its disk is lost.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from vm.image import Image, build, make_disk
from vm.machine import Machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
ROUNDS = int(os.environ.get("UPWHISK_TEST_ROUNDS", "3"))
BOOT_S = 300.0
LINE_S = 120.0
DATA_MB = 128
FEWEST, MOST = 24, 300
"""After how many acknowledgements the plug is pulled; the fewest are three batches, with every kind among them."""
Known = dict[tuple[str, int], list[int]]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(tmp_path_factory.mktemp("vm"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "data"
    make_disk(path, DATA_MB)
    yield path
    path.unlink()


def found(machine: Machine, within_s: float) -> Known:
    """What the store in the machine has: (kind, round) -> numbers."""
    known: Known = defaultdict(list)
    deadline = time.monotonic() + within_s
    while True:
        words = machine.line(deadline - time.monotonic()).split()
        if words[:1] == ["HAVE"]:
            for pair in words[3].split(","):
                first, last = map(int, pair.split("-"))
                known[words[1], int(words[2])] += range(first, last + 1)
        elif words[:1] == ["CHECKED"]:
            assert words == ["CHECKED", "ok"], machine.text()
            return known


def acknowledged(lines: list[str]) -> Counter[tuple[str, int, int]]:
    """What the machine has said to keep; a line that the cut tore is none."""
    words = [line.split() for line in lines]
    return Counter(
        (kind, int(round_), int(number))
        for kind, round_, number in (w[1:] for w in words if w[:1] == ["ACK"] and len(w) == 4)
    )


def lost(acks: Counter[tuple[str, int, int]], known: Known) -> list[tuple[str, int, int]]:
    return [ack for ack in acks if ack[2] not in known[ack[0], ack[1]]]


def kept_once(known: Known) -> None:
    """Nothing is there twice, and nothing is both recorded and pending."""
    for key, numbers in known.items():
        assert len(numbers) == len(set(numbers)), key
        if key[0] == "recorded":
            assert not set(numbers) & set(known["pending", key[1]]), key


def cut(machine: Machine, after: int) -> Counter[tuple[str, int, int]]:
    """Let it work until it has acknowledged so much, and pull the plug; what it had acknowledged by then."""
    machine.until("WRITING", LINE_S)
    began = len(machine.said)
    while len(machine.said) - began < after:
        machine.line(LINE_S)
    machine.pull_the_plug()
    return acknowledged([*machine.rest(LINE_S)][began:-1])  # the last line may be torn


def test_what_was_acknowledged_survives_power_cuts(image: Image, disk: Path) -> None:
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    acks: Counter[tuple[str, int, int]] = Counter()
    for round_ in range(ROUNDS + 1):
        with Machine(image, "power.py", ("power", str(round_), "0"), disk) as machine:
            known = found(machine, BOOT_S)
            assert lost(acks, known) == [], f"seed {seed}, round {round_}"
            kept_once(known)
            if round_ < ROUNDS:
                acks += cut(machine, chance.randint(FEWEST, MOST))
    kinds = Counter(kind for kind, _, _ in acks)
    print(f"\n{ROUNDS} power cuts, seed {seed}, acknowledged and all there: {dict(kinds)}")
    assert set(kinds) == {"recorded", "pending", "entity"}


def test_the_weaker_promise(image: Image, disk: Path) -> None:
    """`process`: the death of the process loses nothing; a power cut may take the newest, and nothing is damaged."""
    with Machine(image, "power.py", ("process", "0", str(MOST)), disk) as machine:
        found(machine, BOOT_S)
        machine.until("WRITING", LINE_S)
        began = len(machine.said)
        assert machine.until("KILLED", LINE_S) == "-9"
        acks = acknowledged(machine.said[began:])
        assert len(acks) == MOST
        assert lost(acks, found(machine, LINE_S)) == []
        assert machine.until("EXIT", LINE_S) == "0"
        machine.wait_off(LINE_S)
    on_disk, gone = acks, Counter[str]()
    for round_ in range(1, ROUNDS + 2):
        with Machine(image, "power.py", ("process", str(round_), "0"), disk) as machine:
            known = found(machine, BOOT_S)
            kept_once(known)
            missing = lost(on_disk, known)
            gone.update("old" if ack[1] < round_ - 1 else "new" for ack in missing)
            on_disk = Counter({ack: 1 for ack in on_disk if ack not in set(missing)})
            if round_ <= ROUNDS:
                on_disk += cut(machine, random.randint(MOST // 2, MOST))
    print(f"\nprocess: {ROUNDS} power cuts; gone with the cut that followed, and later: {dict(gone)}")
    assert lost(acks, known) == [], "these were on the disk before the first cut"
    # If the cuts took nothing here, they would prove nothing above either.
    assert gone["new"]
