"""What tests of a fleet in one process say of nodes and of how work ended."""

from __future__ import annotations

from fakes.fleet import Fleet
from fakes.fleet_node import FleetNode

from upwhisk.common.model.activation import Activation


def error_of(record: Activation | None) -> str:
    assert record is not None
    return str(record.response.result["error"])


def shut(platform: Fleet, name: str, step: str) -> None:
    """Every life of this action waits before this step."""
    for node in platform.nodes:
        node.gates.shut(name, step)


async def where(platform: Fleet, name: str, step: str) -> FleetNode:
    """The node on which a life waits."""
    await platform.until(lambda: any(node.gates.waiting[name, step] for node in platform.nodes))
    return next(node for node in platform.nodes if node.gates.waiting[name, step])
