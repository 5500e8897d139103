"""One fleet of two controllers and two nodes for all tests of this folder."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from fleet.fleet import Fleet
from services.errors import Unavailable
from services.fixtures import missing


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    try:
        made = Fleet().start()
    except Unavailable as error:
        missing(error)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def other_key(fleet: Fleet) -> str:
    """The key of a second namespace, made as an operator makes it."""
    command = [sys.executable, "-m", "upwhisk.cli", "admin", "user", "create", "other", "--fleet", "--config", str(fleet.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()
