"""Guests on cgroup v2: `make test-v2`. Not among the tests that run by themselves; it boots machines, for minutes."""

from __future__ import annotations

import re
import time

import pytest
from vm.image import Image, build
from vm.machine import Machine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
SUITE_S = 1500.0
LINE_S = 400.0
FEWEST = 40
"""Tests that must have passed, so that a suite which skips everything does not look well."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(tmp_path_factory.mktemp("vm"))


@pytest.mark.parametrize("who", ["root", "user"])
def test_guests_are_confined(image: Image, who: str) -> None:
    deadline = time.monotonic() + SUITE_S
    with Machine(image, "v2.py", (who,)) as machine:
        while not machine.said or not machine.said[-1].startswith("EXIT"):
            print(machine.line(min(LINE_S, deadline - time.monotonic())), flush=True)
        status = machine.said[-1]
    counted = re.search(r"(\d+) passed", machine.text())
    assert status == "EXIT 0", machine.text()
    assert counted is not None
    assert int(counted[1]) >= FEWEST
