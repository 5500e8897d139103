"""What the guests' cgroup v2 folders hold. Runs inside the virtual machine, where no other version is mounted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sandbox.guests import groups, guest_members, leftovers, make_factory, run, short_folder, spec, until

from upwhisk.common.errors import ContainerGone
from upwhisk.common.spi.containers import Container
from upwhisk.invoker.containers.bounds import GuestBounds
from upwhisk.invoker.containers.cgroup_choice import choose_tree
from upwhisk.invoker.containers.cgroups_v2 import PLATFORM, TreeV2
from upwhisk.invoker.containers.process import ProcessFactory

IS_ROOT = os.geteuid() == 0


def own() -> str:
    """The cgroup of this process."""
    return Path("/proc/self/cgroup").read_text(encoding="ascii").strip().removeprefix("0::")


def value(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="ascii").strip()


def folder_of(factory: ProcessFactory, guest: Container) -> Path:
    (folder,) = (g for g in groups(guest.id) if g.parent.name == f"upwhisk-{factory.instance}")
    return folder


async def test_it_is_version_2_and_its_limits_are_written() -> None:
    assert isinstance(choose_tree(), TreeV2)
    with short_folder() as run_dir:
        async with make_factory(run_dir, GuestBounds(cores=0.5)) as factory:
            guest = await factory.create(spec(memory_mb=160))
            folder = folder_of(factory, guest)
            assert value(folder, "memory.max") == str(160 << 20)
            assert value(folder, "pids.max") == str(GuestBounds().processes)
            assert value(folder, "cpu.max") == "50000 100000"
            assert guest_members(factory.instance, guest)
            swap = folder / "memory.swap.max"
            assert not swap.exists() or value(folder, swap.name) == "0"
    assert leftovers() == {}


@pytest.mark.parametrize(("idle", "expected"), [(False, ("0", "50")), (True, ("1", "0"))])
async def test_the_weight_of_all_guests_together(idle: bool, expected: tuple[str, str]) -> None:
    with short_folder() as run_dir:
        async with make_factory(run_dir, GuestBounds(idle=idle)) as factory:
            (parent,) = groups(f"upwhisk-{factory.instance}")
            assert (value(parent, "cpu.idle"), value(parent, "cpu.weight")) == expected


async def test_a_memory_kill_is_counted_and_told() -> None:
    with short_folder() as run_dir:
        async with make_factory(run_dir) as factory:
            greedy, modest = await factory.create(spec(memory_mb=64)), await factory.create(spec())
            folder = folder_of(factory, greedy)
            with pytest.raises(ContainerGone):
                await run(greedy, "result = len(bytearray(256 << 20))", 60)
            assert "oom_kill 0" not in value(folder, "memory.events").splitlines()
            assert await run(modest, "result = 1", 60) == 1


async def test_frozen_guests_are_frozen_in_the_kernel_and_can_be_killed() -> None:
    with short_folder() as run_dir:
        async with make_factory(run_dir) as factory:
            guest = await factory.create(spec())
            folder = folder_of(factory, guest)
            await guest.freeze()
            assert "frozen 1" in value(folder, "cgroup.events").splitlines()
            await guest.thaw()
            assert "frozen 0" in value(folder, "cgroup.events").splitlines()
            await guest.freeze()
            await guest.destroy()
            await until(lambda: not folder.exists())


@pytest.mark.skipif(IS_ROOT, reason="about a delegated cgroup")
async def test_in_a_delegated_cgroup_the_platform_makes_room() -> None:
    with short_folder() as run_dir:
        async with make_factory(run_dir) as factory:
            guest = await factory.create(spec())
            assert own().endswith(f"/upwhisk/guest/{PLATFORM}")
            assert folder_of(factory, guest).parent.parent == Path("/sys/fs/cgroup/upwhisk/guest")


@pytest.mark.skipif(not IS_ROOT, reason="about the whole tree")
async def test_root_divides_the_top() -> None:
    with short_folder() as run_dir:
        async with make_factory(run_dir) as factory:
            (parent,) = groups(f"upwhisk-{factory.instance}")
            assert parent.parent == Path("/sys/fs/cgroup")
