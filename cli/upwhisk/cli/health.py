"""How the parts of a standalone fare, for `/health`."""

from __future__ import annotations

from collections.abc import Mapping

from upwhisk.common.spi.bus import MessageBus
from upwhisk.common.spi.containers import ContainerFactory
from upwhisk.common.spi.nodes import NodeRegistry, NodeState
from upwhisk.common.spi.store import ArtifactStore
from upwhisk.controller.api.ports import ComponentHealth


class StandaloneHealth:
    def __init__(
        self, store: ArtifactStore, registry: NodeRegistry, bus: MessageBus, factory: ContainerFactory
    ) -> None:
        self._store = store
        self._registry = registry
        self._bus = bus
        self._factory = factory

    async def components(self) -> Mapping[str, ComponentHealth]:
        reason, problem = self._store.accepts_work(), self._factory.problem()
        nodes = await self._registry.nodes()
        healthy = [n for n in nodes if n.state is NodeState.HEALTHY]
        unwell = "; ".join(f"{n.node} {n.state.value}: {n.reason}" for n in nodes if n not in healthy)
        return {
            "store": ComponentHealth(reason is None, reason or ""),
            "bus": ComponentHealth(True, "in this process"),
            "containers": ComponentHealth(problem is None, problem or ""),
            "nodes": ComponentHealth(bool(healthy), unwell or f"{len(healthy)} of {len(nodes)} healthy"),
        }
