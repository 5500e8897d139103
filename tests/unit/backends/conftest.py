from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.settings import RetentionSettings, StoreSettings

KEEP_ALL = RetentionSettings(max_age_s=0, max_records=0, max_mb=0)


@pytest.fixture
def make_store(tmp_path: Path) -> Callable[..., SQLiteStore]:
    """`make_store(retention=..., clock=..., segment_bytes=..., durability=...)`: always of the same folder."""

    def make(
        retention: RetentionSettings = KEEP_ALL, clock: Any = None, segment_bytes: int = 1 << 24, **settings: Any
    ) -> SQLiteStore:
        return SQLiteStore(tmp_path / "data", StoreSettings(**settings), retention, clock, segment_bytes)

    return make
