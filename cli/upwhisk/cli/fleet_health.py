"""How the services of a fleet fare, for `/health`: a part that is not well says why."""

from __future__ import annotations

from collections.abc import Mapping

from upwhisk.cli.fleet_parts import FleetParts
from upwhisk.common.errors import UpwhiskError
from upwhisk.common.spi.nodes import NodeState
from upwhisk.controller.api.ports import ComponentHealth
from upwhisk.controller.delivery.hosting import Hosting
from upwhisk.controller.delivery.recorder import Recorder


class FleetHealth:
    def __init__(self, parts: FleetParts, hosting: Hosting, recorder: Recorder) -> None:
        self._parts = parts
        self._hosting = hosting
        self._recorder = recorder

    async def components(self) -> Mapping[str, ComponentHealth]:
        parts = self._parts
        logs = ", ".join(f"{each.name} ({len(each.ledger.pending)} under way)" for each in self._hosting.logs())
        logs = "; ".join([logs, *self._hosting.unreadable()])
        return {
            "store": _of(parts.documents.accepts_work(), "reachable"),
            "bus": _of(parts.bus.problem(), "reachable"),
            "registry": _of(parts.registry.problem(), "reachable"),
            "log": _of(self._hosting.problem(), logs),
            "records": _of(self._recorder.problem(), f"{len(self._recorder)} wait for the store"),
            "nodes": await self._nodes(),
        }

    async def _nodes(self) -> ComponentHealth:
        try:
            nodes = await self._parts.registry.nodes()
        except UpwhiskError as error:
            return ComponentHealth(False, str(error))
        healthy = [node for node in nodes if node.state is NodeState.HEALTHY]
        unwell = "; ".join(f"{n.node} {n.state.value}: {n.reason}" for n in nodes if n not in healthy)
        text = f"{len(healthy)} of {len(nodes)} healthy"
        return ComponentHealth(bool(healthy), f"{text}; {unwell}" if unwell else text)


def _of(problem: str | None, well: str) -> ComponentHealth:
    return ComponentHealth(problem is None, problem or well)
