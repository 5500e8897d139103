"""That a Docker engine is away is known to who needs it at once, and to `/health`."""

from __future__ import annotations

from pathlib import Path

import pytest

from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.common.settings import DockerSettings
from upwhisk.common.spi.containers import ContainerSpec, FactoryAbilities, Network
from upwhisk.invoker.containers.docker.engine import Engine, EngineAway
from upwhisk.invoker.containers.docker.engine_watch import EngineWatch
from upwhisk.invoker.containers.docker.factory import DockerFactory


class Pinged(Engine):
    """Answers pings, or not."""

    def __init__(self) -> None:
        self.error: EngineAway | None = None
        self.pings = 0

    async def ping(self, deadline_s: float = 5.0) -> None:
        self.pings += 1
        if self.error is not None:
            raise self.error


async def test_who_failed_asks_once() -> None:
    engine = Pinged()
    watch = EngineWatch(engine)
    await watch.look_at_once()
    well = watch.problem
    engine.error = EngineAway("nobody listens")
    await watch.look_at_once()
    await watch.look_at_once()
    assert (well, watch.problem) == (None, "nobody listens")
    assert engine.pings == 2


async def test_a_factory_whose_engine_is_away_says_so_when_it_fails(tmp_path: Path) -> None:
    factory = DockerFactory("1234abcd", tmp_path, DockerSettings(host=f"unix://{tmp_path}/nobody"))  # type: ignore[arg-type]
    factory.abilities = FactoryAbilities(True, True, True, frozenset(Network), frozenset({"blackbox"}))
    with pytest.raises(ContainerCreateFailed, match="closed"):
        await factory.prepare(ContainerSpec("blackbox", 128, image="a/x"), "ns")
    assert "closed" in (factory.problem() or "")
    await factory.aclose()
