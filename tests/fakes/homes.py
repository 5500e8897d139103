"""Processes that are no more."""

from __future__ import annotations

import subprocess
import sys


def ended_home() -> str:
    """`home()` of a process that has ended."""
    code = "from upwhisk.invoker.home import home; print(home())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30).stdout.strip()
