"""How process guests live and end with their zygote and their platform."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sandbox.daemon import DAEMON
from sandbox.guests import (
    INSTANCES,
    call,
    groups,
    guest_members,
    is_gone,
    make_factory,
    members,
    run,
    spec,
    until,
)

from upwhisk.common.errors import ContainerGone
from upwhisk.invoker.containers.process import ProcessFactory

pytestmark = pytest.mark.sandbox


@pytest.fixture
async def factory(run_dir: Path) -> AsyncIterator[ProcessFactory]:
    async with make_factory(run_dir) as factory:
        yield factory


async def test_guests_die_with_their_zygote_and_the_next_has_a_new_one(factory: ProcessFactory) -> None:
    zygotes = set().union(*(members(g) for g in groups("zygotes") if f"upwhisk-{factory.instance}" in str(g)))
    assert len(zygotes) == 1
    guest = await factory.create(spec())
    gone = asyncio.Event()
    guest.on_exit(gone.set)
    os.kill(zygotes.pop(), signal.SIGKILL)
    await asyncio.wait_for(gone.wait(), 5)
    assert not guest.alive
    with pytest.raises(ContainerGone):
        await call(guest, "result = 1")
    assert await run(await factory.create(spec()), "result = 2") == 2


async def test_a_child_forked_ahead_is_used_and_may_die(factory: ProcessFactory) -> None:
    def waiting() -> set[int]:
        folders = [g for g in groups("zygotes") if g.parent.name == f"upwhisk-{factory.instance}"]
        return set().union(*(members(folder) for folder in folders))

    seen: list[set[int]] = []

    def settled() -> bool:
        """Zygote and spare, and nothing on its way between them: the same two twice."""
        seen.append(waiting())
        return len(seen) > 1 and len(seen[-1]) == 2 and seen[-1] == seen[-2]

    zygote = waiting()
    await factory.create(spec())
    await until(settled)
    (spare,) = waiting() - zygote
    guest = await factory.create(spec())
    assert guest_members(factory.instance, guest) == {spare}
    assert await run(guest, "import os; result = os.getpid()") == 1
    seen.clear()
    await until(settled)
    (spare,) = waiting() - zygote
    os.kill(spare, signal.SIGKILL)
    await until(lambda: is_gone(spare))
    assert await run(await factory.create(spec()), "result = 1") == 1


_PLATFORM = """
import asyncio, sys
from pathlib import Path
from sandbox.guests import make_factory, run, spec
sys.path[:0] = []

async def main():
    factory = make_factory(Path(sys.argv[1]))
    await factory.start()
    awake, frozen = await factory.create(spec()), await factory.create(spec())
    for guest in (awake, frozen):
        await run(guest, sys.argv[2])
    if sys.argv[3] == "freeze":
        await frozen.freeze()
    print(factory.instance, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def _platform(run_dir: Path, how: str) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PLATFORM,
        str(run_dir),
        DAEMON,
        how,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert process.stdout is not None
    instance = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
    assert instance
    INSTANCES.add(instance)
    return process, instance


async def test_guests_die_with_the_platform(run_dir: Path) -> None:
    process, instance = await _platform(run_dir, "run")
    pids = set().union(*(members(g) for g in groups(f"upwhisk-{instance}")))
    assert len(pids) >= 5  # a zygote, two guests with a daemon each
    process.kill()
    await process.wait()
    await until(lambda: all(is_gone(pid) for pid in pids), 2)
    async with make_factory(run_dir):
        assert not groups(f"upwhisk-{instance}")
        assert not (run_dir / instance).exists()


async def test_frozen_guests_of_a_dead_platform_go_at_the_next_start(run_dir: Path) -> None:
    process, instance = await _platform(run_dir, "freeze")
    pids = set().union(*(members(g) for g in groups(f"upwhisk-{instance}")))
    process.kill()
    await process.wait()
    async with make_factory(run_dir) as factory:
        assert all(is_gone(pid) for pid in pids)
        assert not groups(f"upwhisk-{instance}")
        assert await factory.remove_orphans() == 0
        assert await run(await factory.create(spec()), "result = 3") == 3
