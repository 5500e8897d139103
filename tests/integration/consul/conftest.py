"""Registries on a real Consul, each test below a prefix of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from services.consul import Consul
from services.fixtures import started

from upwhisk.backends.nodes.consul import ConsulRegistry
from upwhisk.common.ids import NodeId, new_instance_id
from upwhisk.common.settings import ConsulSettings
from upwhisk.common.spi.nodes import NodeReport, NodeState

TTL_S = 2.0
MakeSettings = Callable[..., ConsulSettings]


@pytest.fixture(scope="module")
def own_consul() -> Iterator[Consul]:
    """One that may be killed and stopped."""
    with started(Consul) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path) -> MakeSettings:
    prefix = f"test-{new_instance_id()}"

    def make(server: Consul, token: str = "", **more: object) -> ConsulSettings:
        file = tmp_path / f"token-{new_instance_id()}"
        file.write_text(f"{token or server.token}\n")
        values = {"url": server.url, "token_file": str(file), "prefix": prefix, **more}
        return ConsulSettings(**values)  # type: ignore[arg-type]

    return make


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What a test opens is closed at its end."""
    async with AsyncExitStack() as opened:
        yield opened


def report(node: str, **more: object) -> NodeReport:
    return NodeReport(node=NodeId(node), memory_mb=1024, cores=2.0, **more)  # type: ignore[arg-type]


class Seen:
    """Every picture that a watcher was shown."""

    def __init__(self, registry: ConsulRegistry) -> None:
        self.pictures: list[dict[str, NodeState]] = []
        registry.watch(lambda nodes: self.pictures.append({each.node: each.state for each in nodes}))

    @property
    def last(self) -> dict[str, NodeState]:
        return self.pictures[-1]

    def ever(self, state: NodeState) -> bool:
        return any(state in picture.values() for picture in self.pictures)
