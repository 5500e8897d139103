"""Commands of this host that build the machine."""

from __future__ import annotations

import subprocess
from pathlib import Path


class CannotBuild(Exception):
    """The host lacks something; the text says what and how to get it."""


def run(*command: str, within_s: float = 120.0, cwd: Path | None = None, text: str = "") -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=within_s, check=False, cwd=cwd, input=text or None
    )
    if done.returncode != 0:
        raise CannotBuild(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout
