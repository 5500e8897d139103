"""What dead instances left in the engine and on this host: found by their labels, taken away at the next start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from upwhisk.common.errors import ConfinementMissing, ContainerError
from upwhisk.invoker.containers.cgroup_choice import choose_tree
from upwhisk.invoker.containers.cgroup_lookup import group_of, mounts
from upwhisk.invoker.containers.docker.engine import Engine
from upwhisk.invoker.containers.docker.guest_config import RUN_DIR, instances_of
from upwhisk.invoker.containers.docker.parent_group import remove_parent
from upwhisk.invoker.containers.network import Outbound
from upwhisk.invoker.containers.orphans import dead_instances, remove_groups

log = structlog.get_logger(__name__)

_AT_ONCE = 4
_PATIENCE_S = 2.0


async def remove_dead(engine: Engine, run_dir: Path) -> int:
    """How many containers there were. What cannot be removed now is logged and stays for the next time."""
    with dead_instances(run_dir) as names:
        left = instances_of(await engine.containers([f"{RUN_DIR}={run_dir}"]))
        # An instance has its folder, and a lock in it, from before its first container to after its last.
        dead = {name: ids for name, ids in left.items() if name in names or not (run_dir / name).is_dir()}
        at_once = asyncio.Semaphore(_AT_ONCE)
        removed = await asyncio.gather(*(_remove(engine, one, at_once) for ids in dead.values() for one in ids))
        await asyncio.to_thread(_clean_host, sorted({*names, *dead}))
    return sum(removed)


async def _remove(engine: Engine, id: str, at_once: asyncio.Semaphore) -> bool:
    async with at_once:
        try:
            await _wake(engine, id)
            await engine.remove(id)
        except ContainerError as error:
            log.warning("orphan not removed", action="docker.orphan_left", container=id[:12], reason=str(error))
            return False
    return True


async def _wake(engine: Engine, id: str) -> None:
    """On cgroup v1 a frozen process does not die, and the engine does not know of our freezing."""
    pid = (await engine.inspect(id))["State"].get("Pid", 0)
    if not pid:
        return
    try:
        group = group_of(pid, mounts())
        if group is not None:
            group.kill()
    except OSError:
        return  # it is gone, or not ours to touch: the engine does what it can


def _clean_host(names: list[str]) -> None:
    try:
        tree = choose_tree()
    except ConfinementMissing:
        tree = None
    for name in names:
        if tree is not None:
            remove_groups(tree, name, _PATIENCE_S)
        remove_parent(name)
        Outbound.clean(name)
