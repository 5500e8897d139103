"""Contract of the node registry: who is a member, how it fares, and small facts about it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from enum import StrEnum
from typing import Literal

import msgspec

from upwhisk.common.ids import NodeId
from upwhisk.common.resource import Resource


class NodeState(StrEnum):
    """The first four are OpenWhisk's `up`, `unhealthy`, `unresponsive`, `down`; a draining node takes no new work."""

    HEALTHY = "up"
    UNHEALTHY = "unhealthy"
    UNRESPONSIVE = "unresponsive"
    OFFLINE = "down"
    DRAINING = "draining"


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself with each heartbeat.

    `memory_mb`: for guests. `kinds`: runtimes whose interpreters it has. `networks`: what guests may ask for.
    `warm`: keys of the actions it holds warm containers for. `reason` explains any state but healthy.
    `headroom`: seconds ahead -> cores that stay free, from the node's forecaster; empty for dedicated nodes.
    """

    node: NodeId
    memory_mb: int
    cores: float
    node_kind: Literal["dedicated", "harvest"] = "dedicated"
    kinds: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    warm: tuple[str, ...] = ()
    state: NodeState = NodeState.HEALTHY
    reason: str = ""
    headroom: dict[int, float] = {}
    version: str = ""


Watcher = Callable[[tuple[NodeReport, ...]], None]


class NodeRegistry(Resource):
    """Rules: a node without a heartbeat for `ttl_s` is reported OFFLINE with a reason, and forgotten on `leave`."""

    @abstractmethod
    async def heartbeat(self, report: NodeReport, *, ttl_s: float) -> None:
        """Join or renew."""

    @abstractmethod
    async def leave(self, node: NodeId) -> None:
        """Unknown nodes are ignored."""

    @abstractmethod
    async def nodes(self) -> tuple[NodeReport, ...]:
        """Every known node, ordered by id."""

    @abstractmethod
    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` with all nodes now and after every change; the returned function ends it."""

    @abstractmethod
    async def put_flag(self, name: str, value: str | None) -> None:
        """Keep a small text that outlives its writer (a drain, for example); None removes it."""

    @abstractmethod
    async def flag(self, name: str) -> str | None: ...
