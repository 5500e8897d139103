"""Waiting for a condition, with a deadline, without an event loop."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], within_s: float, every_s: float = 0.03) -> bool:
    """Whether `condition` came true within `within_s`; asked at least once."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every_s)
    return True
