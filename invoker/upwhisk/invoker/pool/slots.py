"""What the pool's state machine speaks of: containers, requests, and the commands it gives. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

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
class Slot:
    """One container. `capacity` is how many activations it takes at once, `active` how many it runs."""

    number: int
    spec: ContainerSpec
    phase: Phase = Phase.STARTING
    key: WarmKey | None = None
    active: int = 0
    capacity: int = 1
    doomed: bool = False
    fresh: bool = True
    idle_since: float = 0.0
    value: float = 0.0


@dataclass(slots=True)
class Want:
    """A request for a container. `concurrency` is the action's limit."""

    ticket: int
    key: WarmKey
    spec: ContainerSpec
    concurrency: int
    since: float


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
    """No container could be made for this request. `missing`: the image that it names and nobody can get, else empty."""

    ticket: int
    reason: str
    missing: str = ""


Command = Grant | Start | Freeze | Thaw | Destroy | Refuse


def fits(wanted: ContainerSpec, have: ContainerSpec) -> bool:
    """Whether an unused container serves a request: same runtime, image, network; memory can be set afterwards."""
    return wanted.kind == have.kind and wanted.network is have.network and wanted.image == have.image
