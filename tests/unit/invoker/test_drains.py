"""An operator's drain, also while the registry is away."""

from __future__ import annotations

from typing import cast

import msgspec
import pytest
from fakes.clock import ManualClock

from upwhisk.common.drain import Drain
from upwhisk.common.errors import Unavailable
from upwhisk.common.ids import NodeId
from upwhisk.common.spi.nodes import NodeRegistry
from upwhisk.invoker.drains import Drains


class Flags:
    """A registry with one flag, and it may be away."""

    def __init__(self) -> None:
        self.drain: Drain | None = None
        self.away = False

    async def flag(self, name: str) -> str | None:
        if self.away:
            raise Unavailable("Consul is away.")
        return None if self.drain is None else msgspec.json.encode(self.drain).decode()


async def test_the_deadline_counts_while_the_registry_is_away() -> None:
    flags, clock, ended = Flags(), ManualClock(), list[str]()
    drains = Drains(cast(NodeRegistry, flags), NodeId("n1"), clock, lambda: 1, ended.append)
    flags.drain = Drain(reason="a new disk", until_ms=clock.now_ms() + 5_000)
    await drains.look()
    flags.away = True
    for late_s in (0, 6):
        await clock.advance(late_s)
        with pytest.raises(Unavailable):
            await drains.look()
        assert len(ended) == (late_s > 0)
    flags.away, flags.drain = False, None
    await drains.look()
    assert ended[1:] == [""], "it is lifted"
