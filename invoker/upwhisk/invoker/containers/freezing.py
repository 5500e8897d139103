"""Waiting until a whole cgroup stands still."""

from __future__ import annotations

import asyncio
import time

from upwhisk.invoker.containers.cgroups import Cgroup

_DEADLINE_S = 5.0


async def stand_still(group: Cgroup) -> bool:
    """Freeze `group`; false if some process of it would not stop in time. `OSError` when the group is gone."""
    group.freeze()
    delay, deadline = 0.0002, time.monotonic() + _DEADLINE_S
    while not group.is_frozen():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(delay)
        delay = min(delay * 2, 0.02)
    return True
