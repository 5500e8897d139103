"""What the pool's state machine speaks of: containers, requests, and the commands it gives. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import NamedTuple

from upwhisk.common.errors import ContainerError
from upwhisk.common.spi.containers import ContainerSpec


class Phase(Enum):
    STARTING = auto()
    PREWARMED = auto()
    WARM = auto()
    BUSY = auto()
    FREEZING = auto()
    FROZEN = auto()
    THAWING = auto()


IDLE = frozenset({Phase.WARM, Phase.FROZEN})


class WarmKey(NamedTuple):
    """Whose container it is: the invoking namespace and the exact action."""

    namespace: str
    document_id: str
    revision: str


@dataclass(slots=True)
class PoolLimits:
    """`prewarm`: how many idle containers of each spec to hold ready; `prewarmed_mb`: what each is counted as.
    `start_s`: how long one start may take, seconds."""

    memory_mb: int
    starts_at_once: int = 4
    start_s: float = 150.0
    freeze_after_s: float = 10.0
    evict_after_s: float = 600.0
    prewarm: dict[ContainerSpec, int] = field(default_factory=dict)
    prewarmed_mb: int = 32
    can_freeze: bool = True


@dataclass(slots=True)
class Slot:
    """One container. `capacity` is how many activations it takes at once, `active` how many it runs. `fresh`: nobody
    has initialised it. `doomed`: nobody may use it any more. `began`: when its start was ordered."""

    number: int
    spec: ContainerSpec
    began: float = 0.0
    phase: Phase = Phase.STARTING
    key: WarmKey | None = None
    active: int = 0
    capacity: int = 1
    doomed: bool = False
    fresh: bool = True
    idle_since: float = 0.0
    value: float = 0.0

    @property
    def room(self) -> int:
        """How many more activations it takes now."""
        return 0 if self.doomed or self.fresh else self.capacity - self.active


@dataclass(slots=True)
class Want:
    """A request for a container. `concurrency` is the action's limit; `failures` counts containers that could not be
    made for it, `failed_at` is when the last of them failed."""

    ticket: int
    key: WarmKey
    spec: ContainerSpec
    concurrency: int
    since: float
    failures: int = 0
    failed_at: float = float("-inf")


class Grant(NamedTuple):
    """`start`: `warm`, `prewarmed` or `cold`. Unless warm, the container has to be initialised first."""

    ticket: int
    slot: int
    start: str


class Start(NamedTuple):
    slot: int
    spec: ContainerSpec


class Freeze(NamedTuple):
    slot: int


class Thaw(NamedTuple):
    slot: int


class Destroy(NamedTuple):
    slot: int


class Refuse(NamedTuple):
    """No container could be made for this request."""

    ticket: int
    error: ContainerError


Command = Grant | Start | Freeze | Thaw | Destroy | Refuse


def fits(wanted: ContainerSpec, have: ContainerSpec) -> bool:
    """Whether an unused container serves a request: same runtime, image, network; memory can be set afterwards."""
    return wanted.kind == have.kind and wanted.network is have.network and wanted.image == have.image
