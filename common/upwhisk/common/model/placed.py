"""The annotation `upwhisk` of a record: what OpenWhisk's fields cannot say."""

from __future__ import annotations

import msgspec


class Phases(msgspec.Struct, omit_defaults=True):
    """How long each phase took, ms. `wait`: from acceptance until the node took it up, which is `queue`, until it
    had a permit, and `bus`, on its way (by the clocks of two machines in a fleet; 0 where they differ by more); `place`: until it had a container; `init` and `run`: around the guest; `paused`: frozen by the guard meanwhile."""

    wait: float = 0.0
    queue: float = 0.0
    bus: float = 0.0
    place: float = 0.0
    init: float = 0.0
    run: float = 0.0
    paused: float = 0.0

    @property
    def duration_ms(self) -> int:
        return round(self.init + self.run)

    @property
    def wait_ms(self) -> int:
        return round(self.wait + self.place)


class Why(msgspec.Struct, frozen=True, omit_defaults=True):
    """The balancer's reasons: `policy`, how many nodes were `considered`, and why nodes were `refused` (at most 20
    by name; `counts`: reason -> nodes). `warm`: the node held a container for it."""

    policy: str
    considered: int
    refused: dict[str, str] = {}
    counts: dict[str, int] = {}
    warm: bool = False


class Placed(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The annotation `upwhisk`: what OpenWhisk's fields cannot say."""

    node: str
    attempt: int = 1
    start: str = ""
    """warm, prewarmed or cold."""
    why: Why | None = None
    trace: str | None = None
    phases: Phases | None = None
