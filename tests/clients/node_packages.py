"""The npm packages of a lock file, installed once into a cache folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from services.cache import cache_folder

INSTALL_S = 120


def npm() -> str:
    """Path of npm. Skips the test where it is missing, except in CI, where that is a failure."""
    found = shutil.which("npm")
    if found is None:
        missing = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        missing("npm is not installed (Debian: apt-get install npm)")
    assert found is not None
    return found


def installed(project: Path) -> Path:
    """`node_modules` of what `project/package-lock.json` pins; unpacked only if that file is new."""
    program = npm()
    lock = (project / "package-lock.json").read_bytes()
    folder = cache_folder() / f"npm-{hashlib.sha256(lock).hexdigest()[:16]}"
    if (folder / "node_modules").is_dir():
        return folder / "node_modules"
    making = folder.with_name(f"{folder.name}.{os.getpid()}")
    making.mkdir(parents=True)
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(project / name, making)
        command = [program, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        done = subprocess.run(command, cwd=making, capture_output=True, text=True, timeout=INSTALL_S)
        assert done.returncode == 0, done.stderr
        if not folder.exists():
            making.rename(folder)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder / "node_modules"
