"""How Docker containers live and end: with a dead platform, with an engine that is killed, late or remote."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest
from sandbox.daemon import DAEMON
from sandbox.docker_guests import containers_of, settings_of
from sandbox.docker_kit import DockerKit
from sandbox.guests import INSTANCES, groups, is_gone, members, run, spec, until

from upwhisk.common.errors import ConfigurationError, ConfinementMissing, ContainerCreateFailed
from upwhisk.common.ids import new_instance_id
from upwhisk.common.spi.containers import ContainerSpec
from upwhisk.invoker.containers.docker.factory import DockerFactory

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service]

PATIENCE_S = 20.0
_PLATFORM = """
import asyncio, sys
from pathlib import Path
from sandbox.guests import run, spec
from sandbox.docker_kit import DockerKit

async def main():
    factory = DockerKit(Path(sys.argv[1]), sys.argv[2]).make()
    await factory.start()
    guests = [await factory.create(spec()) for _ in range(3)]
    for guest in guests:
        await run(guest, sys.argv[3])
    await guests[0].freeze()
    print(factory.instance, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def _platform(kit: DockerKit) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PLATFORM,
        str(kit.run_dir),
        kit.host,
        DAEMON,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert process.stdout is not None
    instance = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
    assert instance
    INSTANCES.add(instance)
    return process, instance


async def test_what_a_dead_platform_left_goes_at_the_next_start_and_no_more(docker_kit: DockerKit) -> None:
    async with docker_kit.make() as living:
        kept = await living.create(spec())
        process, instance = await _platform(docker_kit)
        pids = set().union(*(members(g) for g in groups(f"upwhisk-{instance}")))
        assert len(pids) >= 6  # three guests with a daemon each
        process.kill()
        await process.wait()
        async with docker_kit.make() as factory:
            await until(lambda: all(is_gone(pid) for pid in pids), PATIENCE_S)
            assert not groups(f"upwhisk-{instance}")
            await until(lambda: len(containers_of(docker_kit.host, docker_kit.run_dir)) == 1, PATIENCE_S)
            assert await factory.remove_orphans() == 0
            assert await run(await factory.create(spec()), "result = 3") == 3
        assert await run(kept, "result = 4") == 4


async def test_a_creation_that_nobody_waits_for_leaves_nothing(docker_kit: DockerKit) -> None:
    async with docker_kit.make() as factory:
        for wait_s in (0.0, 0.01, 0.1):
            task = asyncio.create_task(factory.create(spec()))
            await asyncio.wait({task}, timeout=wait_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await until(lambda: containers_of(docker_kit.host, docker_kit.run_dir) == [], PATIENCE_S)
        assert await run(await factory.create(spec()), "result = 1") == 1


async def test_a_container_that_somebody_removes_is_told_gone(docker_kit: DockerKit) -> None:
    async with docker_kit.make() as factory:
        guest = await factory.create(spec())
        told: list[int] = []
        guest.on_exit(lambda: told.append(1))
        await factory._engine.remove(guest.id)
        await until(lambda: told == [1], PATIENCE_S)
        assert not guest.alive
        assert not await guest.oom_killed()
        await asyncio.wait_for(guest.destroy(), 5)


async def test_output_before_the_first_answer_is_kept(docker_kit: DockerKit) -> None:
    async with docker_kit.make() as factory:
        guest = await factory.create(spec())
        await run(guest, "import os; os.write(1, b'one'); os.write(2, b'two')")
        assert {chunk.stream: chunk.data for chunk in guest.read_logs()} == {
            "stdout": b"one",
            "stderr": b"two",
        }


async def test_a_kind_without_an_image_names_it_and_what_to_do(docker_kit: DockerKit) -> None:
    factory = DockerFactory(
        new_instance_id(), docker_kit.run_dir, settings_of(docker_kit.host), wanted=("python:3.99",)
    )
    INSTANCES.add(factory.instance)
    async with factory:
        assert "upwhisk-test/python:3.99" in factory.abilities.missing["python:3.99"]
        assert "make images" in factory.abilities.missing["python:3.99"]
        with pytest.raises(ContainerCreateFailed, match=r"upwhisk-test/python:3\.99.*make images"):
            await factory.create(ContainerSpec("python:3.99", 128))


async def test_an_engine_without_images_stops_the_start(docker_kit: DockerKit) -> None:
    factory = docker_kit.make(settings=settings_of(docker_kit.host, image_prefix="nobody"))
    with pytest.raises(ConfinementMissing, match="make images"):
        await factory.start()


async def test_an_engine_that_is_not_there_stops_the_start_with_its_setting(docker_kit: DockerKit) -> None:
    factory = docker_kit.make(settings=settings_of(f"unix://{docker_kit.run_dir}/nobody"))
    began = time.monotonic()
    with pytest.raises(ConfigurationError, match=r"docker\.host"):
        await factory.start()
    assert time.monotonic() - began < 5


@pytest.fixture
async def factory(docker_kit: DockerKit) -> AsyncIterator[DockerFactory]:
    async with docker_kit.make() as factory:
        yield factory


async def test_limits_by_the_engine_do_what_files_do(factory: DockerFactory) -> None:
    """For whoever may not write the files: the same calls through the engine."""
    guest = await factory.create(spec(64))
    controls = guest._own.controls  # type: ignore[attr-defined]
    controls._own = None
    await guest.freeze()
    before = await guest.stats()
    with pytest.raises(TimeoutError):
        await guest.post("/run", b"{}", timeout_s=0.3, max_answer=100)
    assert (await guest.stats()).cpu_ns == before.cpu_ns
    await guest.thaw()
    assert await run(guest, "result = 1") == 1
    await guest.resize(128)
    assert await run(guest, "kept = b'x' * (80 << 20); result = len(kept)") == 80 << 20
    await guest.freeze()
    await asyncio.wait_for(guest.destroy(), 5)


async def test_figures_by_the_engine_are_like_those_of_the_files(factory: DockerFactory) -> None:
    guest = await factory.create(spec())
    by_files = await guest.stats()
    controls = guest._own.controls  # type: ignore[attr-defined]
    controls._group = None
    by_engine = await guest.stats()
    assert by_engine.memory_bytes > by_files.memory_bytes / 4
    assert by_engine.cpu_ns >= by_files.cpu_ns
    assert by_engine.processes >= 1
