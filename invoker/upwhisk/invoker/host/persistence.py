"""The forecast that needs no training: what is now stays. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from upwhisk.common.spi.forecast import HeadroomCurve, HostSample
from upwhisk.invoker.host.window import peak

NOW_S = 10.0
"""`now` is the peak of the last samples: one alone can fall between two bursts."""


class PersistenceForecaster:
    """The same headroom at every horizon. Without samples nothing is promised."""

    def curve(
        self, samples: Sequence[HostSample], *, capacity_cores: float, capacity_mb: float, horizons_s: Sequence[float]
    ) -> HeadroomCurve:
        horizons = tuple(sorted(horizons_s))
        load = peak(samples, NOW_S)
        cores = 0.0 if load is None else max(0.0, capacity_cores - max(0.0, load.cores))
        memory_mb = 0.0 if load is None else max(0.0, capacity_mb - max(0.0, load.memory_mb))
        return HeadroomCurve(horizons, (cores,) * len(horizons), (memory_mb,) * len(horizons))
