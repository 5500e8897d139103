"""Contract of the container factory: sandboxes in which guests run.

The protocol inside is OpenWhisk's /init and /run (`docs/runtime-protocol.md`). A factory makes containers that
listen; it knows nothing of actions, namespaces or records.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from upwhisk.common.resource import Resource

SENTINEL = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX"
"""A line with this text ends one run's output on each stream. Runtimes that run several activations at once write
their activation id behind it, after one blank."""
ATTRIBUTION = "\x01"
"""A line that begins with this character, 32 hexadecimal digits and a blank belongs to that activation; what
follows is its text. Only runtimes that run several activations at once write such lines."""

Stream = Literal["stdout", "stderr"]


class Network(StrEnum):
    """What a guest can reach: nothing; this platform's API alone; the outside world and the API."""

    NONE = "none"
    API = "api"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What to make. `kind` names a runtime of the manifest; `image` only matters to factories that have images.

    `environment`: what the guest's processes see beside the runtime's own variables. `name` is for people.
    """

    kind: str
    memory_mb: int
    network: Network = Network.NONE
    image: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    name: str = "guest"


@dataclass(frozen=True, slots=True)
class FactoryAbilities:
    """What this factory, on this host, can do. `resize`: `Container.resize` changes the memory limit of a container.
    `missing`: kind -> why this node cannot run it (its interpreter is not there)."""

    freeze: bool
    resize: bool
    images: bool
    networks: frozenset[Network]
    kinds: frozenset[str]
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GuestAnswer:
    """What the guest's proxy answered. `body` is cut at the maximum the caller gave; `length` is what it sent."""

    status: int
    body: bytes
    length: int


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Bytes a guest wrote to one stream, in order, with the time they were read (ns since the epoch)."""

    stream: Stream
    data: bytes
    read_ns: int


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """`memory_bytes` charged now, `cpu_ns` used so far, `processes` alive now."""

    memory_bytes: int
    cpu_ns: int
    processes: int


class Container(ABC):
    """One sandbox. Not shared between namespaces; whoever made it destroys it."""

    id: str
    spec: ContainerSpec

    @abstractmethod
    async def post(
        self, path: str, body: bytes, *, timeout_s: float, max_answer: int, single_use: bool = False
    ) -> GuestAnswer:
        """POST JSON to the guest's proxy and return its answer.

        * `TimeoutError` when `timeout_s` passed; the call is abandoned (the guest goes on: destroy it).
        * `ContainerGone` when the guest died or closed the connection first; `oom` tells of a memory kill.
        * Several posts may be under way at once.
        * A container that was just created may take a while to listen: waiting for it counts against the time.
        """

    @abstractmethod
    def read_logs(self) -> Sequence[LogChunk]:
        """Everything written since the last call; never waits. What a guest wrote before its proxy answered is
        included in the first call made after that answer."""

    @abstractmethod
    def watch_logs(self, notify: Callable[[], None] | None) -> None:
        """Call `notify` on the event loop whenever output waits to be read (None: stop). Without a watcher a guest
        that fills its pipe waits."""

    @abstractmethod
    def on_exit(self, notify: Callable[[], None]) -> None:
        """Call `notify` once when the container's main process is gone (at once, if it is already)."""

    @property
    @abstractmethod
    def alive(self) -> bool: ...

    @abstractmethod
    async def oom_killed(self) -> bool:
        """Whether its memory limit has killed any of its processes so far."""

    @abstractmethod
    async def freeze(self) -> None:
        """Stop every process of it; returns when all stand still. Idempotent."""

    @abstractmethod
    async def thaw(self) -> None:
        """Idempotent."""

    @abstractmethod
    async def resize(self, memory_mb: int) -> None:
        """Change the memory limit; `ContainerError` where `abilities.resize` is false or it uses more already."""

    @abstractmethod
    async def stats(self) -> ContainerStats: ...

    @abstractmethod
    async def destroy(self) -> None:
        """Kill everything in it, frozen or not, and give back all it held. Idempotent; never raises for a container
        that is gone already. Returns within 5 s."""


class ContainerFactory(Resource):
    """`start` checks the host, removes what dead instances left behind, and raises `ConfinementMissing` rather than
    run guests unconfined. `aclose` destroys every container."""

    abilities: FactoryAbilities

    async def prepare(self, spec: ContainerSpec, namespace: str) -> None:
        """Fetch what `create` needs from elsewhere, an image for example. Called before it is `create`'s turn.

        * `ContainerCreateFailed` (ours), `ImageMissing` (the developer's).
        * Starts are few at a time on a node, and registries are as slow as their owners like: only this may wait for
          them. It has a deadline, in which waiting for others is included.
        * What is fetched for one `namespace` holds up nothing of another's.
        * It may be cancelled, and called for the same by several at once. Without a suspension where nothing is missing.
        """

    @abstractmethod
    async def create(self, spec: ContainerSpec) -> Container:
        """`ContainerCreateFailed` (ours), `ImageMissing` (the developer's). Returns when the container exists; it
        may not listen yet. Fetches nothing: `ImageUnfetched` if `prepare` has to be called first, or once more."""

    @abstractmethod
    async def remove_orphans(self) -> int:
        """Remove what dead instances left (processes, cgroups, mounts, scratch, network) and say how many; what
        belongs to a living instance stays."""

    def problem(self) -> str | None:
        """Why no container can be made now, for `/health`; None if one can, as far as is known. Never waits."""
        return None

    @abstractmethod
    def findings(self) -> tuple[str, ...]:
        """What this host cannot do, each with its remedy, for `upwhisk doctor` and the log at start."""
