"""Calls to one controller of a fleet."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from fakes.running import Running
from fleet.fleet import Fleet


def at(fleet: Fleet, number: int) -> Running:
    """A client of controller `number`, from 0."""
    return Running(Path(), url=fleet.urls[number], key=fleet.key)


def upwhisk(fleet: Fleet, *arguments: str) -> str:
    """Output of a command that ends well, with the fleet's settings."""
    command = [sys.executable, "-m", "upwhisk.cli", *arguments, "--config", str(fleet.config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def node_of(record: dict[str, Any]) -> str:
    """The node that ran an activation."""
    (ours,) = [a["value"] for a in record["annotations"] if a["key"] == "upwhisk"]
    return str(ours["node"])
