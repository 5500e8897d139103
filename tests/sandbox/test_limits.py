"""A guest cannot use more memory, processes, files or disk than its limits, nor live longer than it may."""

from __future__ import annotations

import asyncio

import pytest
from sandbox.daemon import DAEMON
from sandbox.guests import call, groups, instance_members, is_gone, run, spec, until
from sandbox.kits import Kit

from upwhisk.common.errors import ContainerGone
from upwhisk.common.spi.containers import Container, ContainerFactory
from upwhisk.invoker.containers.bounds import GuestBounds

pytestmark = pytest.mark.sandbox


async def test_memory_beyond_the_limit_kills_it_alone(factory: ContainerFactory) -> None:
    greedy, neighbour = await factory.create(spec(64)), await factory.create(spec(64))
    with pytest.raises(ContainerGone) as caught:
        await call(greedy, "x = bytearray(200 << 20)")
    assert caught.value.oom
    assert await greedy.oom_killed()
    assert await run(neighbour, "result = 1") == 1
    assert not await neighbour.oom_killed()


async def test_memory_of_child_processes_counts_too(factory: ContainerFactory) -> None:
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


async def test_scratch_counts_as_memory_and_is_bounded(kit: Kit) -> None:
    async with kit.make(GuestBounds(scratch_mb=16)) as factory:
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


async def test_the_number_of_files_is_bounded(kit: Kit) -> None:
    async with kit.make(GuestBounds(scratch_files=100)) as factory:
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


async def test_a_fork_bomb_stays_within_its_processes(kit: Kit) -> None:
    async with kit.make(GuestBounds(processes=32)) as factory:
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


async def test_open_files_are_bounded(kit: Kit) -> None:
    async with kit.make(GuestBounds(open_files=64)) as factory:
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


async def test_a_daemon_dies_with_its_container(kit: Kit, factory: ContainerFactory) -> None:
    guest = await factory.create(spec())
    assert len(await run(guest, DAEMON)) >= 2
    before = kit.members(factory, guest)
    assert len(before) >= 2
    await guest.destroy()
    assert all(is_gone(pid) for pid in before)
    instance = f"upwhisk-{kit.instance(factory)}"
    await until(lambda: not [group for group in groups(guest.id) if instance in str(group)])


async def test_a_frozen_daemon_dies_with_its_container(kit: Kit, factory: ContainerFactory) -> None:
    guest = await factory.create(spec())
    await run(guest, DAEMON)
    before = kit.members(factory, guest)
    await guest.freeze()
    await asyncio.wait_for(guest.destroy(), 5)
    assert len(before) >= 2
    assert all(is_gone(pid) for pid in before)


async def test_guests_of_a_harvest_node_get_what_is_left_over(kit: Kit) -> None:
    async with kit.make(GuestBounds(idle=True)) as factory:
        guest = await factory.create(spec())
        assert await run(guest, "import os; result = os.sched_getscheduler(0) == os.SCHED_IDLE")
        (parent,) = {
            g
            for g in groups(f"upwhisk-{kit.instance(factory)}")
            if (g / "cpu.stat").exists() and (g / "cpu.idle").exists()
        }
        assert (parent / "cpu.idle").read_text(encoding="ascii").strip() == "1"


async def test_a_guest_uses_no_more_cores_than_it_may(kit: Kit) -> None:
    async with kit.make(GuestBounds(cores=0.2)) as factory:
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


async def test_what_belongs_to_the_living_stays(kit: Kit) -> None:
    async with kit.make() as living:
        guest = await living.create(spec())
        async with kit.make() as other:
            assert await other.remove_orphans() == 0
            assert instance_members(kit.instance(living))
        assert await run(guest, "result = 4") == 4
