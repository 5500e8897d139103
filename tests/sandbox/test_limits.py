"""A guest cannot use more memory, processes, files or disk than its limits, nor live longer than it may."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sandbox.guests import (
    INSTANCES,
    call,
    groups,
    guest_members,
    instance_members,
    is_gone,
    make_factory,
    members,
    run,
    spec,
    until,
)

from upwhisk.common.errors import ContainerGone
from upwhisk.common.spi.containers import Container
from upwhisk.invoker.containers.bounds import GuestBounds
from upwhisk.invoker.containers.process import ProcessFactory

pytestmark = pytest.mark.sandbox

_DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for n in range(3, 20):
            try:
                os.close(n)
            except OSError:
                pass
        while True:
            time.sleep(60)
    os._exit(0)
os.wait()
result = [n for n in os.listdir("/proc") if n.isdigit()]
"""


async def test_memory_beyond_the_limit_kills_it_alone(factory: ProcessFactory) -> None:
    greedy, neighbour = await factory.create(spec(64)), await factory.create(spec(64))
    with pytest.raises(ContainerGone) as caught:
        await call(greedy, "x = bytearray(200 << 20)")
    assert caught.value.oom
    assert await greedy.oom_killed()
    assert await run(neighbour, "result = 1") == 1
    assert not await neighbour.oom_killed()


async def test_memory_of_child_processes_counts_too(factory: ProcessFactory) -> None:
    guest = await factory.create(spec(128))
    code = """
    import os, time
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            kept = bytearray(60 << 20)
            time.sleep(60)
        children.append(pid)
    os.waitpid(-1, 0)
    result = 1
    """
    outcomes = await asyncio.gather(call(guest, code), return_exceptions=True)
    assert all(error.oom for error in outcomes if isinstance(error, ContainerGone))
    assert await guest.oom_killed()


async def test_scratch_counts_as_memory_and_is_bounded(run_dir: Path) -> None:
    async with make_factory(run_dir, GuestBounds(scratch_mb=16)) as factory:
        guest = await factory.create(spec(128))
        outcome = await run(
            guest,
            """
            import errno, os
            written, failed = 0, None
            try:
                for n in range(8):
                    with open(f"/tmp/{n}", "wb", buffering=0) as f:
                        for _ in range(8):
                            written += f.write(b"x" * (1 << 20))
            except OSError as error:
                failed = errno.errorcode[error.errno]
            result = [written, failed]
            """,
        )
        assert outcome[0] <= 16 << 20
        assert outcome[1] == "ENOSPC"
        assert (await guest.stats()).memory_bytes > 10 << 20


async def test_a_single_file_is_bounded(guest: Container) -> None:
    outcome = await run(
        guest,
        """
        import errno, os
        try:
            os.truncate(os.open("/tmp/big", os.O_CREAT | os.O_RDWR), 1 << 40)
            result = "made"
        except OSError as error:
            result = errno.errorcode[error.errno]
        """,
    )
    assert outcome == "EFBIG"


async def test_the_number_of_files_is_bounded(run_dir: Path) -> None:
    async with make_factory(run_dir, GuestBounds(scratch_files=100)) as factory:
        made = await run(
            await factory.create(spec()),
            """
            result = 0
            try:
                for n in range(1000):
                    open(f"/tmp/{n}", "w").close()
                    result += 1
            except OSError:
                pass
            """,
        )
    assert made < 100


async def test_a_fork_bomb_stays_within_its_processes(run_dir: Path) -> None:
    async with make_factory(run_dir, GuestBounds(processes=32)) as factory:
        guest, neighbour = await factory.create(spec(256)), await factory.create(spec())
        made = await run(
            guest,
            """
            import os, time
            result = 0
            try:
                for _ in range(200):
                    if os.fork() == 0:
                        time.sleep(60)
                        os._exit(0)
                    result += 1
            except OSError:
                pass
            """,
        )
        assert made < 32
        assert (await guest.stats()).processes <= 32
        assert await run(
            neighbour,
            "import os; os.waitpid(os.posix_spawn(os.sys.executable, ['x', '-c', ''], {}), 0); result = 1",
        )


async def test_open_files_are_bounded(run_dir: Path) -> None:
    async with make_factory(run_dir, GuestBounds(open_files=64)) as factory:
        outcome = await run(
            await factory.create(spec()),
            """
            import errno, os, resource
            opened = []
            try:
                while len(opened) < 1000:
                    opened.append(os.open("/dev/null", os.O_RDONLY))
            except OSError as error:
                failed = errno.errorcode[error.errno]
            count = len(opened)
            for descriptor in opened:
                os.close(descriptor)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
                failed = "raised"
            except (OSError, ValueError):
                pass
            result = [count, failed]
            """,
        )
    assert outcome[0] < 64
    assert outcome[1] == "EMFILE"


async def test_no_core_dumps(guest: Container) -> None:
    assert await run(guest, "import resource; result = resource.getrlimit(resource.RLIMIT_CORE)") == [1, 1]


async def test_a_daemon_dies_with_its_container(factory: ProcessFactory) -> None:
    guest = await factory.create(spec())
    assert len(await run(guest, _DAEMON)) >= 2
    before = guest_members(factory, guest)
    assert len(before) >= 2
    await guest.destroy()
    assert all(is_gone(pid) for pid in before)
    assert not [g for g in groups(guest.id) if f"upwhisk-{factory.instance}" in str(g)]


async def test_a_frozen_daemon_dies_with_its_container(factory: ProcessFactory) -> None:
    guest = await factory.create(spec())
    await run(guest, _DAEMON)
    before = guest_members(factory, guest)
    await guest.freeze()
    await asyncio.wait_for(guest.destroy(), 5)
    assert len(before) >= 2
    assert all(is_gone(pid) for pid in before)


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
    assert guest_members(factory, guest) == {spare}
    assert await run(guest, "import os; result = os.getpid()") == 1
    seen.clear()
    await until(settled)
    (spare,) = waiting() - zygote
    os.kill(spare, signal.SIGKILL)
    await until(lambda: is_gone(spare))
    assert await run(await factory.create(spec()), "result = 1") == 1


async def test_guests_of_a_harvest_node_get_what_is_left_over(run_dir: Path) -> None:
    async with make_factory(run_dir, GuestBounds(idle=True)) as factory:
        guest = await factory.create(spec())
        assert await run(guest, "import os; result = os.sched_getscheduler(0) == os.SCHED_IDLE")
        (parent,) = {
            g
            for g in groups(f"upwhisk-{factory.instance}")
            if (g / "cpu.stat").exists() and (g / "cpu.idle").exists()
        }
        assert (parent / "cpu.idle").read_text(encoding="ascii").strip() == "1"


async def test_a_guest_uses_no_more_cores_than_it_may(run_dir: Path) -> None:
    async with make_factory(run_dir, GuestBounds(cores=0.2)) as factory:
        guest = await factory.create(spec())
        used, passed = await run(
            guest,
            """
            import time
            began, busy = time.monotonic(), time.process_time()
            while time.monotonic() - began < 1:
                pass
            result = [time.process_time() - busy, time.monotonic() - began]
            """,
        )
        assert used / passed < 0.5


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
        _DAEMON,
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


async def test_what_belongs_to_the_living_stays(run_dir: Path) -> None:
    async with make_factory(run_dir) as living:
        guest = await living.create(spec())
        async with make_factory(run_dir) as other:
            assert await other.remove_orphans() == 0
            assert instance_members(living)
        assert await run(guest, "result = 4") == 4
