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
    CGROUPS,
    INSTANCES,
    call,
    groups,
    is_gone,
    make_factory,
    members,
    run,
    spec,
    until,
)

from upwhisk.common.errors import ContainerGone
from upwhisk.common.spi.containers import Network
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


def guests(factory: ProcessFactory) -> set[Path]:
    """The cgroups of guests, in the hierarchy of freezers or the only one."""
    folders = [Path(path) for path, _, _ in os.walk(CGROUPS) if os.path.basename(path) == f"upwhisk-{factory.instance}"]
    folder = next((each for each in folders if "freezer" in each.parts), folders[0])
    return {each for each in folder.iterdir() if each.is_dir() and each.name != "zygotes"}


async def spare_of(factory: ProcessFactory, known: set[str]) -> str:
    """The name of the one guest that is not known, once it has a process and no other is on its way."""
    found: list[set[str]] = []

    def settled() -> bool:
        found.append({each.name for each in guests(factory) if each.name not in known and members(each)})
        return len(found) > 1 and len(found[-1]) == 1 and found[-1] == found[-2]

    await until(settled)
    return found[-1].pop()


async def test_a_guest_that_was_born_ahead_is_the_next(factory: ProcessFactory) -> None:
    first = await factory.create(spec())
    spare = await spare_of(factory, {first.id})
    second = await factory.create(spec(memory_mb=64))
    assert second.id == spare
    assert second.spec.memory_mb == 64
    assert await run(second, "import os; result = os.getpid()") == 1
    assert await run(second, "result = len(bytearray(20 << 20))") == 20 << 20
    with pytest.raises(ContainerGone) as gone:
        await call(second, "result = len(b'x' * (120 << 20))")
    assert gone.value.oom, "it has the memory that was asked for, not the first one's"


async def test_a_guest_that_was_born_ahead_may_die(factory: ProcessFactory) -> None:
    first = await factory.create(spec())
    spare = await spare_of(factory, {first.id})
    for folder in guests(factory):
        if folder.name == spare:
            for pid in members(folder):
                os.kill(pid, signal.SIGKILL)
                await until(lambda pid=pid: is_gone(pid))  # type: ignore[misc]
    second = await factory.create(spec())
    assert second.id != spare
    assert await run(second, "result = 1") == 1
    third = await spare_of(factory, {first.id, second.id})
    assert third != spare


async def test_one_that_was_born_for_another_network_is_not_used(factory: ProcessFactory) -> None:
    first = await factory.create(spec(network=Network.API))
    spare = await spare_of(factory, {first.id})
    second = await factory.create(spec(network=Network.NONE))
    assert second.id != spare
    with pytest.raises(AssertionError):
        await run(second, "import socket; socket.create_connection(('127.0.0.1', 3233), 1)")
    like_the_last = await spare_of(factory, {first.id, second.id, spare})
    assert (await factory.create(spec(network=Network.NONE))).id == like_the_last
    assert (await factory.create(spec(network=Network.API))).id == spare


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
