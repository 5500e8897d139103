"""Contract of the forecaster: how much of a node stays free, for how long. A pure function, hence a Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class HostSample(msgspec.Struct, frozen=True):
    """The owner's load at one moment: `at_s` monotonic seconds, CPU in cores, memory in MB; guests are left out."""

    at_s: float
    owner_cpu: float
    owner_memory_mb: float


class HeadroomCurve(msgspec.Struct, frozen=True):
    """`horizons_s[i]` seconds ahead, `cores[i]` and `memory_mb[i]` stay free. Horizons rise, headroom never does."""

    horizons_s: tuple[float, ...]
    cores: tuple[float, ...]
    memory_mb: tuple[float, ...]

    def idle_time_s(self, cores: float, memory_mb: float) -> float:
        """The longest horizon at which both demands fit; 0 if there is none."""
        longest = 0.0
        for horizon, free_cores, free_mb in zip(self.horizons_s, self.cores, self.memory_mb, strict=True):
            if free_cores < cores or free_mb < memory_mb:
                break
            longest = horizon
        return longest


class Forecaster(Protocol):
    def curve(
        self, samples: Sequence[HostSample], *, capacity_cores: float, capacity_mb: float, horizons_s: Sequence[float]
    ) -> HeadroomCurve:
        """`samples`: oldest first, maybe none. Never promises more than the newest sample leaves."""
        ...
