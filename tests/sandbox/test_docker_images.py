"""Images that actions name: somebody else's program, confined like every guest, spoken to over its port 8080."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from sandbox.docker_guests import settings_of
from sandbox.docker_kit import DockerKit
from sandbox.guests import call, run, until

from upwhisk.common.errors import ContainerGone, ImageMissing, ImageUnfetched
from upwhisk.common.spi.containers import Container, ContainerSpec, Network
from upwhisk.invoker.containers.docker.factory import DockerFactory
from upwhisk.runtimes.installation import RuntimeInstallation

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service]


@pytest.fixture
async def factory(docker_kit: DockerKit) -> AsyncIterator[DockerFactory]:
    async with docker_kit.make() as factory:
        yield factory


def spec(image: str, network: Network = Network.NONE) -> ContainerSpec:
    return ContainerSpec("blackbox", 128, network, image=image, environment=(("FROM_SPEC", "1"),))


@pytest.fixture
async def guest(factory: DockerFactory, named_image: str) -> Container:
    return await factory.create(spec(named_image))


async def test_it_answers_and_its_own_environment_stays(factory: DockerFactory, guest: Container) -> None:
    assert factory.abilities.images
    code = "import os; result = [os.environ['OF_THE_IMAGE'], os.environ['FROM_SPEC'], os.getcwd()]"
    assert await run(guest, code) == ["yes", "1", "/"]
    assert await asyncio.gather(*(run(guest, f"result = {n}") for n in range(8))) == list(range(8))


async def test_it_is_confined_whatever_it_wants(guest: Container) -> None:
    status = await run(
        guest, "result = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())"
    )
    assert int(status["Uid"].split()[0]) >= 1000
    assert {int(status[f"Cap{name}"], 16) for name in ("Prm", "Eff", "Bnd", "Inh", "Amb")} == {0}
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")


async def test_it_writes_to_bounded_scratch_alone(guest: Container) -> None:
    outcome = await run(
        guest,
        """
        import errno, os
        result = {}
        for path in ("/x", "/server.py", "/data/x", "/tmp/x"):
            try:
                with open(path, "wb", buffering=0) as f:
                    f.write(b"1")
                result[path] = "written"
            except OSError as error:
                result[path] = errno.errorcode[error.errno]
        big = os.statvfs("/data")
        result["data"] = big.f_blocks * big.f_frsize
        """,
    )
    assert outcome["/x"] == outcome["/server.py"] == "EROFS"
    assert outcome["/data/x"] == outcome["/tmp/x"] == "written"
    assert outcome["data"] <= 128 << 20  # not an anonymous volume on the host's disk


async def test_it_reaches_nothing(guest: Container) -> None:
    reached = await run(
        guest,
        """
        import socket
        result = []
        for where in (("127.0.0.1", 3233), ("172.17.0.1", 80), ("1.1.1.1", 53), ("169.254.169.254", 80)):
            try:
                socket.create_connection(where, 0.5).close()
                result.append(where)
            except OSError:
                pass
        """,
    )
    assert reached == []


async def test_its_output_comes_with_its_answer(guest: Container) -> None:
    for number in range(5):
        await run(guest, f"import sys; print('out {number}'); print('err {number}', file=sys.stderr)")
        assert _by_stream(guest) == {
            "stdout": f"out {number}\n".encode(),
            "stderr": f"err {number}\n".encode(),
        }


def _by_stream(guest: Container) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for chunk in guest.read_logs():
        found[chunk.stream] = found.get(chunk.stream, b"") + chunk.data
    return found


async def test_output_beyond_a_bound_waits_for_its_reader(guest: Container) -> None:
    size, collected = 5_000_000, bytearray()

    def collect() -> None:
        collected.extend(b"".join(chunk.data for chunk in guest.read_logs()))

    guest.watch_logs(collect)
    await run(guest, f"print('x' * {size})")
    deadline = time.monotonic() + 20
    while len(collected) <= size and time.monotonic() < deadline:
        await asyncio.sleep(0.01)
    assert len(collected) == size + 1


async def test_memory_and_death_are_told_apart(factory: DockerFactory, named_image: str) -> None:
    greedy, leaver = [await factory.create(spec(named_image)) for _ in range(2)]
    with pytest.raises(ContainerGone) as caught:
        await call(greedy, "x = bytearray(400 << 20)")
    assert caught.value.oom
    with pytest.raises(ContainerGone) as caught:
        await call(leaver, "import os; os._exit(3)")
    assert not caught.value.oom
    await until(lambda: not leaver.alive)


async def test_the_api_is_in_reach_if_it_may_be(docker_kit: DockerKit, named_image: str) -> None:
    async with docker_kit.make() as factory:
        guest = await factory.create(spec(named_image, Network.API))
        code = "import os, socket; result = os.environ['__OW_API_HOST']; socket.create_connection(('127.0.0.1', 3233), 5).close()"
        assert await run(guest, code) == "http://127.0.0.1:3233"


async def test_an_image_that_ends_at_once_is_a_dead_container(
    factory: DockerFactory, docker_kit: DockerKit
) -> None:
    """Its author's fault: whoever calls it is told that it exited, not that the platform is broken."""
    image = "upwhisk-test/python:probe"  # without the platform's folder its command finds nothing
    guest = await factory.create(ContainerSpec("blackbox", 128, image=image))
    with pytest.raises(ContainerGone):
        await call(guest, "result = 1")
    await asyncio.wait_for(guest.destroy(), 5)


@pytest.mark.parametrize("image", ["upwhisk-test/nobody-has-this", "127.0.0.1:9/none/of:these"])
async def test_an_image_that_cannot_be_had_is_its_authors_fault(factory: DockerFactory, image: str) -> None:
    with pytest.raises(ImageUnfetched, match=image):
        await asyncio.wait_for(factory.create(spec(image)), 20)
    with pytest.raises(ImageMissing, match=image):
        await asyncio.wait_for(factory.prepare(spec(image), "ns"), 20)


async def test_an_image_is_there_when_it_was_prepared(factory: DockerFactory, named_image: str) -> None:
    await factory.prepare(spec(named_image), "ns")
    assert await run(await factory.create(spec(named_image)), "result = 1") == 1
    for nothing in (ContainerSpec("python:probe", 128), ContainerSpec("blackbox", 128, image="openwhisk/dockerskeleton")):
        await factory.prepare(nothing, "ns")


async def test_nothing_is_fetched_when_that_is_forbidden(docker_kit: DockerKit) -> None:
    async with docker_kit.make(settings=settings_of(docker_kit.host, pull="never")) as factory:
        with pytest.raises(ImageMissing):
            await factory.prepare(spec("127.0.0.1:9/none/of:these"), "ns")


async def test_the_skeleton_is_the_native_runtime(
    docker_runtimes: dict[str, RuntimeInstallation], docker_kit: DockerKit
) -> None:
    assert "blackbox" in docker_runtimes
    async with docker_kit.make() as factory:
        guest = await factory.create(ContainerSpec("blackbox", 128, image="openwhisk/dockerskeleton:1.0"))
        for path in ("/init", "/run"):
            answer = await guest.post(path, b'{"value": {}}', timeout_s=20, max_answer=1000)
            assert answer.status == 200
        assert b"stub action" in answer.body
