"""Contract of the node registry: who is a member, how it fares, and small facts about it."""

from __future__ import annotations

from abc import ABC, abstractmethod
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
    `incarnation`: changes with each start of the node and whenever it lost its membership; work that was sent to another
    incarnation is not started any more. `address`: where its metrics are served, empty if nowhere.
    `images`: whether it can run images that actions name. `tells_starts`: it says of all work when it starts it.
    `home`: which process it is. `lease_s`: how long it may live without a heartbeat.
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
    incarnation: str = ""
    address: str = ""
    images: bool = False
    tells_starts: bool = False
    home: str = ""
    lease_s: float = 0.0


Watcher = Callable[[tuple[NodeReport, ...]], None]


class Claim(ABC):
    """A name held by one owner at a time: the leadership of something that must exist once.

    It is renewed in the background until it is released. `lost` is true once the registry gave it up (its holder did
    not answer for the time to live); a lost claim is not renewed: claim again.
    """

    name: str
    owner: str

    @property
    @abstractmethod
    def lost(self) -> bool: ...

    @abstractmethod
    async def release(self) -> None:
        """Idempotent; never raises for a registry out of reach (the claim lapses then)."""


class NodeRegistry(Resource):
    """Rules: a node without a heartbeat for `ttl_s` is reported OFFLINE with a reason, and forgotten on `leave`.

    While the registry is out of reach the last picture stands and `problem` says why; after it came back nobody is
    reported OFFLINE before having had `ttl_s` to renew. Methods raise `Unavailable` when it is out of reach.
    """

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
    async def report(self, node: NodeId) -> NodeReport | None:
        """What this node, or another process of its name, said of itself last. Cheap."""

    @abstractmethod
    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` with all nodes now and after every change; the returned function ends it."""

    @abstractmethod
    async def put_flag(self, name: str, value: str | None) -> None:
        """Keep a small text that outlives its writer (a drain, for example); None removes it."""

    @abstractmethod
    async def flag(self, name: str) -> str | None: ...

    @abstractmethod
    async def flags(self, prefix: str) -> dict[str, str]:
        """Every flag whose name begins with `prefix`, ordered by name."""

    @abstractmethod
    async def claim(self, name: str, owner: str, *, ttl_s: float) -> Claim | None:
        """None while somebody else holds it. An owner that claims what it holds gets a new claim in its place."""

    @abstractmethod
    async def holders(self, prefix: str) -> dict[str, str]:
        """Name -> owner of every claim held now whose name begins with `prefix`, ordered by name."""

    @abstractmethod
    def problem(self) -> str | None:
        """Why the registry is out of reach, or None. Cheap."""
