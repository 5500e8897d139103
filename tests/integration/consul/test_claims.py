"""Claims among several processes: one winner, and an end with its owner."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from fakes.until import until, until_async
from integration.consul.conftest import TTL_S, MakeSettings
from services.consul import Consul
from services.toxiproxy import Toxiproxy

from upwhisk.backends.nodes.consul import ConsulRegistry
from upwhisk.common.settings import ConsulSettings

pytestmark = pytest.mark.external_service
KILLED = Path(__file__).with_name("killed_claimant.py")
SLACK_S = 2.0


async def registries(
    stack: AsyncExitStack, consul: Consul, settings: MakeSettings, count: int
) -> list[ConsulRegistry]:
    return [await stack.enter_async_context(ConsulRegistry(settings(consul))) for _ in range(count)]


@asynccontextmanager
async def claimant(own: ConsulSettings) -> AsyncIterator[None]:
    """A process that holds `log/a` for `late`; killed at the end."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(KILLED), own.url, own.token_file, own.prefix, "log/a", "late", str(TTL_S),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        said = b""
        while b"held" not in said:
            said = await asyncio.wait_for(child.stdout.readline(), 20)
        yield
    finally:
        child.kill()
        await child.wait()


async def test_of_many_who_race_one_wins(
    consul: Consul, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    racing, held = await registries(stack, consul, settings, 6), {}
    for attempt in range(5):
        name = f"log/{attempt}"
        claims = await asyncio.gather(*[r.claim(name, f"owner{i}", ttl_s=10) for i, r in enumerate(racing)])
        winners = [claim for claim in claims if claim is not None]
        assert len(winners) == 1
        held[name] = winners[0].owner
        assert await racing[0].holders("log/") == held


async def test_the_claim_of_a_dead_owner_is_free_in_time(
    consul: Consul, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    [heir] = await registries(stack, consul, settings, 1)
    async with claimant(settings(consul)):
        assert await heir.claim("log/a", "heir", ttl_s=TTL_S) is None
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > 1.5 * TTL_S)
        assert await heir.holders("log/") == {"log/a": "late"}, "who lives keeps it"
    died = time.monotonic()

    async def inherited() -> bool:
        return await heir.claim("log/a", "heir", ttl_s=TTL_S) is not None

    await until_async(inherited)
    assert time.monotonic() - died < TTL_S + SLACK_S
    assert await heir.holders("log/") == {"log/a": "heir"}


async def test_nothing_is_left_of_the_claim_of_a_dead_owner(consul: Consul, settings: MakeSettings) -> None:
    own = settings(consul)
    async with aiohttp.ClientSession(consul.url, headers={"X-Consul-Token": consul.token}) as client:

        async def keys() -> list[str]:
            async with client.get(f"/v1/kv/{own.prefix}/?keys") as answer:
                return await answer.json() if answer.status == 200 else []

        async with claimant(own):
            assert await keys() == [f"{own.prefix}/claims/log/a"]

        async def gone() -> bool:
            return await keys() == []

        await until_async(gone)


async def test_who_was_cut_off_learns_that_it_lost(
    consul: Consul, toxiproxy: Toxiproxy, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    proxy = toxiproxy.proxy("consul-claimant", consul.address)
    try:
        async with ConsulRegistry(settings(consul, url=f"http://{proxy.address}")) as cut:
            [heir] = await registries(stack, consul, settings, 1)
            claim = await cut.claim("log/a", "cut", ttl_s=TTL_S)
            assert claim is not None
            proxy.cut()

            async def free() -> bool:
                return await heir.holders("log/") == {}

            await until_async(free)
            assert await heir.claim("log/a", "heir", ttl_s=10) is not None
            proxy.heal()
            await until(lambda: claim.lost)
            await claim.release()
            assert await heir.holders("log/") == {"log/a": "heir"}
    finally:
        proxy.remove()


async def test_an_owner_that_claims_elsewhere_takes_it_along(
    consul: Consul, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    former, later = await registries(stack, consul, settings, 2)
    first = await former.claim("log/a", "one", ttl_s=TTL_S)
    second = await later.claim("log/a", "one", ttl_s=TTL_S)
    assert first is not None
    assert second is not None
    await until(lambda: first.lost)
    assert not second.lost
    await first.release()
    assert await later.holders("log/") == {"log/a": "one"}


async def test_closing_gives_claims_back_at_once(
    consul: Consul, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    [heir] = await registries(stack, consul, settings, 1)
    former = ConsulRegistry(settings(consul))
    await former.start()
    assert await former.claim("log/a", "one", ttl_s=60) is not None
    await former.aclose()
    assert await heir.claim("log/a", "two", ttl_s=60) is not None


async def test_claims_go_on_or_are_known_to_be_lost_after_consul_died(
    own_consul: Consul, settings: MakeSettings, stack: AsyncExitStack
) -> None:
    [holder, other] = await registries(stack, own_consul, settings, 2)
    claim = await holder.claim("log/a", "one", ttl_s=TTL_S)
    assert claim is not None
    await asyncio.to_thread(own_consul.kill)
    await until(lambda: holder.problem() is not None)
    assert [claim.lost] == [False], "nobody has given it up"
    await asyncio.to_thread(own_consul.restart)
    await until(lambda: holder.problem() is None)

    async def agreed() -> bool:
        return (await other.holders("log/") == {"log/a": "one"}) != claim.lost

    began = time.monotonic()
    await until(lambda: time.monotonic() - began > TTL_S)
    await until_async(agreed)
    if claim.lost:
        assert await holder.claim("log/a", "one", ttl_s=TTL_S) is not None
