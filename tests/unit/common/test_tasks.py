"""Background work that goes on."""

from __future__ import annotations

import asyncio

from fakes.until import until

from upwhisk.common.tasks import TaskOwner, repeated


async def test_a_look_that_fails_does_not_end_the_others() -> None:
    looks: list[int] = []

    def look() -> None:
        looks.append(len(looks))
        if len(looks) < 3:
            raise KeyError("of one look")

    owner = TaskOwner("test")
    owner.start(repeated(look, lambda: asyncio.sleep(0), "test"), "looks")
    await until(lambda: len(looks) >= 5)
    await owner.aclose(grace_s=0.0)
    seen = len(looks)
    await asyncio.sleep(0)
    assert len(looks) == seen
