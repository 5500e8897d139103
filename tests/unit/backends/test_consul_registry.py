"""Which of Consul's answers is shown, when several are under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from upwhisk.backends.nodes.consul import ConsulRegistry
from upwhisk.common.settings import ConsulSettings


class Answers(ConsulRegistry):
    """`answers`: by the index that is asked with; the test gives them."""

    def __init__(self) -> None:
        super().__init__(ConsulSettings(url="http://127.0.0.1:1"))
        self.answers: dict[int, asyncio.Future[int]] = {}

    async def _ask(self, query: Callable[..., Any], index: int) -> tuple[int, Any]:
        self.answers[index] = asyncio.get_running_loop().create_future()
        return await self.answers[index], []


@pytest.mark.parametrize("what", ["health", "reports"])
async def test_an_answer_that_was_overtaken_is_not_shown(what: str) -> None:
    registry = Answers()
    ask = getattr(registry, f"_ask_{what}")
    at_once, watched = asyncio.ensure_future(ask(0)), asyncio.ensure_future(ask(5))
    await asyncio.sleep(0)
    registry.answers[5].set_result(7)
    await watched
    registry.answers[0].set_result(6)
    await at_once
    assert getattr(registry, f"_{what}")[0] == 7


@pytest.mark.parametrize("what", ["health", "reports"])
async def test_a_consul_that_began_anew_is_shown(what: str) -> None:
    registry = Answers()
    ask = getattr(registry, f"_ask_{what}")
    for at in (7, 2):
        asking = asyncio.ensure_future(ask(0))
        await asyncio.sleep(0)
        registry.answers[0].set_result(at)
        await asking
    assert getattr(registry, f"_{what}")[0] == 2
