"""The API suite against a platform that runs already."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_WITHIN_S = 280


def run_api_suite(url: str, key: str, other_key: str) -> None:
    """Every test of tests/api in a process of its own; `AssertionError` with the end of its output."""
    environment = {
        **os.environ,
        "UPWHISK_TEST_URL": url,
        "UPWHISK_TEST_AUTH": key,
        "UPWHISK_TEST_OTHER_AUTH": other_key,
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/api", "-q", "-x", "--no-header", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout
