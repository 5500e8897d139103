"""What every container factory must do. Guests run the probe runtime."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from sandbox.guests import call, run, spec, until

from upwhisk.common.errors import ContainerCreateFailed, ContainerError, ContainerGone
from upwhisk.common.spi.containers import ContainerFactory, ContainerSpec, Network

pytestmark = pytest.mark.sandbox


async def test_a_guest_answers(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    assert container.alive
    assert container.spec == spec()
    answer = await container.post("/run", b'{"code": "result = 6 * 7"}', timeout_s=10, max_answer=1000)
    assert (answer.status, json.loads(answer.body)) == (200, {"result": 42})
    assert answer.length == len(answer.body)


async def test_abilities_tell_what_there_is(factory: ContainerFactory) -> None:
    abilities = factory.abilities
    assert spec().kind in abilities.kinds
    assert {Network.NONE, Network.API} <= abilities.networks
    assert all(isinstance(finding, str) for finding in factory.findings())


async def test_a_runtime_of_the_manifest_needs_nothing_fetched(factory: ContainerFactory) -> None:
    for _ in range(2):
        preparing = factory.prepare(spec(), "ns")
        with pytest.raises(StopIteration):  # it is done at once, without a suspension
            preparing.send(None)


async def test_an_unknown_kind_is_refused(factory: ContainerFactory) -> None:
    with pytest.raises(ContainerCreateFailed, match="cobol:1"):
        await factory.create(ContainerSpec("cobol:1", 128))


async def test_the_environment_is_the_specs(factory: ContainerFactory) -> None:
    wanted = ContainerSpec(spec().kind, 128, environment=(("__OW_X", "ä"), ("B", "=")))
    container = await factory.create(wanted)
    assert await run(
        container, "import os; result = [os.environ['__OW_X'], os.environ['B'], os.getcwd()]"
    ) == ["ä", "=", "/tmp"]


async def test_output_is_read_without_waiting(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    assert list(container.read_logs()) == []
    began = time.time_ns()
    await run(container, "import sys; print('out ä'); print('err', file=sys.stderr); result = 1")
    chunks = container.read_logs()
    assert {chunk.stream: chunk.data for chunk in chunks} == {
        "stdout": "out ä\n".encode(),
        "stderr": b"err\n",
    }
    assert all(began <= chunk.read_ns <= time.time_ns() for chunk in chunks)
    assert list(container.read_logs()) == []


async def test_a_watcher_is_told_of_output(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    collected = bytearray()

    def collect() -> None:
        for chunk in container.read_logs():
            collected.extend(chunk.data)

    container.watch_logs(collect)
    size = 5_000_000  # more than any pipe holds: without the watcher the guest would wait for ever
    await run(container, f"print('x' * {size}); result = 1")
    await until(lambda: len(collected) == size + 1)
    container.watch_logs(None)
    await run(container, "print('later'); result = 1")
    assert len(collected) == size + 1
    assert b"".join(chunk.data for chunk in container.read_logs()) == b"later\n"


async def test_a_watcher_outlives_the_guest_quietly(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    calls = 0

    def count() -> None:
        nonlocal calls
        calls += 1
        container.read_logs()

    container.watch_logs(count)
    with pytest.raises(ContainerGone):
        await call(container, "import os; os.write(1, b'bye'); os._exit(3)")
    await until(lambda: calls > 0)
    settled = calls
    for _ in range(50):
        await asyncio.sleep(0)
    assert calls - settled <= 1


async def test_several_posts_are_under_way_at_once(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    wait = "import os, time\nwhile len(os.listdir('/tmp')) < 4: time.sleep(0.005)\nresult = 1"
    codes = [f"open('/tmp/{n}', 'w').close()\n{wait}" for n in range(4)]
    assert await asyncio.gather(*(run(container, code) for code in codes)) == [1] * 4


async def test_a_post_that_takes_too_long_is_abandoned(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await call(container, "import time; time.sleep(60)", timeout_s=0.2)
    assert time.monotonic() - began < 2
    assert container.alive
    assert await run(container, "result = 1") == 1


async def test_a_cancelled_post_harms_no_other(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    task = asyncio.create_task(
        call(container, "import time; open('/tmp/begun', 'w').close(); time.sleep(60)")
    )
    assert (
        await run(
            container,
            "import os, time\nwhile not os.path.exists('/tmp/begun'): time.sleep(0.005)\nresult = 1",
        )
        == 1
    )
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await run(container, "result = 2") == 2


async def test_a_large_answer_is_cut_and_counted(factory: ContainerFactory) -> None:
    container = await factory.create(spec(256))
    answer = await container.post("/raw", b'{"size": 3000000}', timeout_s=10, max_answer=1000)
    assert (len(answer.body), answer.length) == (1000, 3_000_000)
    assert await run(container, "result = 1") == 1


async def test_a_large_body_arrives_whole(factory: ContainerFactory) -> None:
    container = await factory.create(spec(256))
    assert await run(container, f"result = len('{'x' * 3_000_000}')") == 3_000_000


async def test_a_connection_may_be_used_once(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    for _ in range(3):
        answer = await container.post(
            "/run", b'{"code": "result=1"}', timeout_s=10, max_answer=99, single_use=True
        )
        assert answer.status == 200


async def test_an_exit_is_told_once(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    told: list[int] = []
    container.on_exit(lambda: told.append(1))
    with pytest.raises(ContainerGone) as caught:
        await call(container, "import os; print('last words', flush=True); os._exit(1)")
    assert not caught.value.oom
    await until(lambda: told == [1])
    assert not container.alive
    assert b"last words" in b"".join(chunk.data for chunk in container.read_logs())
    container.on_exit(lambda: told.append(2))
    assert told == [1, 2]
    with pytest.raises(ContainerGone):
        await call(container, "result = 1")


async def test_exceeded_memory_is_told_apart(factory: ContainerFactory) -> None:
    container = await factory.create(spec(64))
    assert not await container.oom_killed()
    with pytest.raises(ContainerGone) as caught:
        await call(container, "x = bytearray(300 << 20)")
    assert caught.value.oom
    assert await container.oom_killed()
    await container.destroy()
    assert await container.oom_killed()


async def test_a_frozen_guest_stands_still(factory: ContainerFactory) -> None:
    if not factory.abilities.freeze:
        pytest.skip("this factory does not freeze")
    container = await factory.create(spec())
    await run(
        container,
        """
        import threading, time, builtins
        builtins.ticks = 0
        def tick():
            while True:
                builtins.ticks += 1
                time.sleep(0.001)
        threading.Thread(target=tick, daemon=True).start()
        result = 1
        """,
    )
    await container.freeze()
    await container.freeze()
    before = await container.stats()
    with pytest.raises(TimeoutError):
        await call(container, "result = 1", timeout_s=0.3)
    assert (await container.stats()).cpu_ns == before.cpu_ns
    await container.thaw()
    await container.thaw()
    assert await run(container, "import builtins; result = builtins.ticks") > 0


async def test_stats_count_what_is_used(factory: ContainerFactory) -> None:
    container = await factory.create(spec(256))
    before = await container.stats()
    await run(
        container,
        """
        import builtins, subprocess, time, os
        builtins.kept = bytearray(os.urandom(1 << 20)) * 50
        end = time.process_time() + 0.2
        while time.process_time() < end:
            pass
        if os.fork() == 0:
            time.sleep(60)
            os._exit(0)
        result = 1
        """,
    )
    after = await container.stats()
    assert after.memory_bytes - before.memory_bytes > 45 << 20
    assert after.cpu_ns - before.cpu_ns > 150_000_000
    assert after.processes > before.processes >= 1


async def test_memory_can_be_resized(factory: ContainerFactory) -> None:
    if not factory.abilities.resize:
        pytest.skip("this factory does not resize")
    container = await factory.create(spec(64))
    await container.resize(256)
    assert await run(container, "import builtins; builtins.kept = b'x' * (120 << 20); result = 1") == 1
    with pytest.raises(ContainerError):
        await container.resize(64)
    await run(container, "import builtins; builtins.kept = None; result = 1")
    await container.resize(96)
    with pytest.raises(ContainerGone) as caught:
        await call(container, "x = b'x' * (120 << 20)")
    assert caught.value.oom


async def test_destroy_takes_everything_and_may_be_repeated(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    task = asyncio.create_task(call(container, "import time; time.sleep(60)"))
    await run(container, "result = 1")
    await asyncio.wait_for(asyncio.gather(container.destroy(), container.destroy()), 5)
    await container.destroy()
    assert not container.alive
    with pytest.raises(ContainerGone):
        await task
    with pytest.raises(ContainerGone):
        await call(container, "result = 1")
    with pytest.raises(ContainerGone):
        await container.stats()
    assert list(container.read_logs()) == []
    container.watch_logs(None)


async def test_a_guest_that_is_gone_can_be_destroyed(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    with pytest.raises(ContainerGone):
        await call(container, "import os; os._exit(1)")
    await asyncio.wait_for(container.destroy(), 5)


async def test_many_are_made_and_destroyed_at_once(factory: ContainerFactory) -> None:
    containers = await asyncio.gather(*(factory.create(spec()) for _ in range(12)))
    assert len({container.id for container in containers}) == 12
    assert await asyncio.gather(*(run(c, f"result = {n}") for n, c in enumerate(containers))) == list(
        range(12)
    )
    await asyncio.wait_for(asyncio.gather(*(container.destroy() for container in containers)), 5)


async def test_closing_the_factory_destroys_every_container(factory: ContainerFactory) -> None:
    containers = [await factory.create(spec()) for _ in range(3)]
    if factory.abilities.freeze:
        await containers[0].freeze()
    await asyncio.wait_for(factory.aclose(), 5)
    assert not any(container.alive for container in containers)
    with pytest.raises(ContainerCreateFailed):
        await factory.create(spec())
    await factory.aclose()


async def test_nothing_of_the_living_is_an_orphan(factory: ContainerFactory) -> None:
    container = await factory.create(spec())
    assert await factory.remove_orphans() == 0
    assert await run(container, "result = 1") == 1
