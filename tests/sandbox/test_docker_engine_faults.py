"""An engine that is killed, stands still or comes back: running guests do not notice, nothing hangs, nothing is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from sandbox.docker_guests import build_probe, containers_of
from sandbox.docker_kit import DockerKit
from sandbox.guests import run, short_folder, spec, until
from services.docker_engine import DockerEngine
from services.fixtures import started

from upwhisk.common.errors import ContainerCreateFailed, ContainerGone
from upwhisk.common.spi.containers import Container
from upwhisk.invoker.containers.docker import engine as engine_module
from upwhisk.invoker.containers.docker.factory import DockerFactory

pytestmark = [pytest.mark.sandbox, pytest.mark.external_service, pytest.mark.timeout(240)]

PATIENCE_S = 45.0


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    with started(lambda: DockerEngine(apart=True)) as engine:
        build_probe(engine.host)
        yield engine


@pytest.fixture
def kit(engine: DockerEngine) -> Iterator[DockerKit]:
    if not engine.running:
        engine.restart()
    with short_folder() as folder:
        kit = DockerKit(folder, engine.host)
        yield kit
        engine.resume()
        if not engine.running:
            engine.restart()
        kit.check()


async def _creates_again(factory: DockerFactory) -> Container:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await factory.create(spec())
        except ContainerCreateFailed:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def test_guests_outlive_a_killed_engine(engine: DockerEngine, kit: DockerKit) -> None:
    async with kit.make() as factory:
        kept, ended = [await factory.create(spec()) for _ in range(2)]
        await run(kept, "import builtins; builtins.mine = 41; print('before'); result = 1")
        await asyncio.to_thread(engine.kill)
        assert await run(kept, "import builtins; print('during'); result = builtins.mine + 1") == 42
        assert b"".join(chunk.data for chunk in kept.read_logs()) == b"before\nduring\n"
        await kept.freeze()
        await kept.thaw()
        assert (await kept.stats()).processes >= 1
        began = time.monotonic()
        with pytest.raises(ContainerCreateFailed, match="engine"):
            await factory.create(spec())
        assert "does not answer" in (factory.problem() or ""), "known when it is felt"
        await asyncio.wait_for(ended.destroy(), 5)
        assert time.monotonic() - began < 8
        with pytest.raises(ContainerGone):
            await run(ended, "result = 1")
        assert any("not removed" in finding for finding in factory.findings())
        await asyncio.to_thread(engine.restart)
        assert await run(await _creates_again(factory), "result = 2") == 2
        assert await run(kept, "import builtins; result = builtins.mine") == 41
        await until(lambda: len(containers_of(kit.host, kit.run_dir)) == 2, PATIENCE_S)
        await until(lambda: factory.findings() == () and factory.problem() is None, PATIENCE_S)


async def test_a_creation_waits_for_an_engine_that_is_started_again(
    engine: DockerEngine, kit: DockerKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "RESTART_S", PATIENCE_S)  # a busy machine starts it slowly
    async with kit.make() as factory:
        await asyncio.to_thread(engine.kill)
        creating = asyncio.create_task(factory.create(spec()))
        await asyncio.wait({creating}, timeout=0.05)
        await asyncio.to_thread(engine.restart)
        assert await run(await creating, "result = 7") == 7


async def test_a_guest_that_dies_without_an_engine_is_noticed(engine: DockerEngine, kit: DockerKit) -> None:
    async with kit.make() as factory:
        greedy = await factory.create(spec(64))
        await asyncio.to_thread(engine.kill)
        with pytest.raises(ContainerGone) as caught:
            await run(greedy, "x = bytearray(300 << 20)")
        assert caught.value.oom
        await until(lambda: not greedy.alive)
        await asyncio.wait_for(greedy.destroy(), 5)
        await asyncio.to_thread(engine.restart)
        await until(lambda: containers_of(kit.host, kit.run_dir) == [], PATIENCE_S)


async def test_an_engine_that_stands_still_holds_up_nothing(engine: DockerEngine, kit: DockerKit) -> None:
    async with kit.make() as factory:
        kept, ended = [await factory.create(spec()) for _ in range(2)]
        factory._engine._deadline_s = 1.0  # from now on: a busy machine takes longer for real work
        engine.pause()
        began = time.monotonic()
        outcomes = await asyncio.gather(*(factory.create(spec()) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(one, ContainerCreateFailed) for one in outcomes)
        assert "did not answer 'ping'" in (factory.problem() or "")
        await asyncio.wait_for(ended.destroy(), 5)
        assert time.monotonic() - began < 8
        assert await run(kept, "result = 5") == 5
        engine.resume()
        factory._engine._deadline_s = PATIENCE_S
        assert await run(await _creates_again(factory), "result = 6") == 6
        # What the engine had begun and nobody has is removed by its name.
        await until(lambda: len(containers_of(kit.host, kit.run_dir)) == 2, PATIENCE_S)


async def test_closing_without_an_engine_is_quick_and_the_next_start_cleans(
    engine: DockerEngine, kit: DockerKit
) -> None:
    factory = kit.make()
    await factory.start()
    guests = [await factory.create(spec()) for _ in range(2)]
    await guests[0].freeze()
    await asyncio.to_thread(engine.kill)
    await asyncio.wait_for(factory.aclose(), 8)
    assert not any(guest.alive for guest in guests)
    await asyncio.to_thread(engine.restart)
    assert len(containers_of(kit.host, kit.run_dir)) == 2
    async with kit.make():
        await until(lambda: containers_of(kit.host, kit.run_dir) == [], PATIENCE_S)
