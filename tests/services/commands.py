"""Commands of this host that fetch and build."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from services.errors import Unavailable

_PAUSES_S = (2.0, 10.0)
"""Between tries: a registry that hiccups does so for seconds."""
_running: set[int] = set()
"""Process groups of the commands of all threads."""


def kill_all() -> None:
    """End every command that runs, with its children: for a process that is told to stop."""
    for group in tuple(_running):
        os.killpg(group, signal.SIGKILL)


def have(program: str) -> str:
    """Path of a program. Raises `Unavailable`."""
    found = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if found is None:
        raise Unavailable(f"'{program}' is not installed")
    return found


def run(
    *command: str | Path,
    within_s: float,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    tries: int = 1,
) -> str:
    """Output of a command that ends well; `tries` > 1 where the network takes part. Raises `Unavailable`."""
    argv = [str(word) for word in command]
    for pause_s in _PAUSES_S[: tries - 1]:
        try:
            return _run(argv, within_s, cwd, environment)
        except Unavailable:
            time.sleep(pause_s)
    return _run(argv, within_s, cwd, environment)


def _run(argv: list[str], within_s: float, cwd: Path | None, environment: Mapping[str, str] | None) -> str:
    shown = " ".join(argv)[:200]
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    _running.add(process.pid)
    try:
        output, _ = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"'{shown}' has not ended after {within_s:.0f} s") from None
    finally:
        if process.returncode is None:  # its children go too
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        _running.discard(process.pid)
    if process.returncode != 0:
        raise Unavailable(f"'{shown}' failed with status {process.returncode}:\n{output[-2000:].strip()}")
    return output
