"""One fleet of two controllers and two nodes for all tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from fleet.fleet import Fleet
from services.fixtures import started


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    with started(Fleet) as made:
        yield made


@pytest.fixture(scope="session")
def other_key(fleet: Fleet) -> str:
    """The key of a second namespace, made as an operator makes it."""
    command = [sys.executable, "-m", "upwhisk.cli", "admin", "user", "create", "other", "--fleet", "--config", str(fleet.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
