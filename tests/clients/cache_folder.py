"""Where tests keep what they download from one run to the next."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`UPWHISK_TEST_CACHE`, or a folder of this user's."""
    default = "/var/cache/upwhisk-test" if os.geteuid() == 0 else str(Path.home() / ".cache/upwhisk-test")
    folder = Path(os.environ.get("UPWHISK_TEST_CACHE") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
