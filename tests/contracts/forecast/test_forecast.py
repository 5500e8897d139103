"""Forecasts: headroom never rises with the horizon, nor above what the newest sample leaves."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from upwhisk.common.spi.forecast import Forecaster, HeadroomCurve, HostSample

HORIZONS = (10.0, 30.0, 120.0, 600.0, 1800.0)
loads = st.floats(0, 64, allow_nan=False)
memories = st.floats(0, 1e6, allow_nan=False)


@st.composite
def samples(draw: st.DrawFn) -> list[HostSample]:
    steps = draw(st.lists(st.floats(0.1, 60, allow_nan=False), max_size=30))
    at, found = 0.0, []
    for step in steps:
        at += step
        found.append(HostSample(at, draw(loads), draw(memories)))
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seen=samples(), cores=st.floats(0, 32), memory=st.floats(0, 1e5), horizons=st.permutations(HORIZONS))
def test_a_curve_is_cautious(
    forecaster: Forecaster, seen: list[HostSample], cores: float, memory: float, horizons: list[float]
) -> None:
    curve = forecaster.curve(seen, capacity_cores=cores, capacity_mb=memory, horizons_s=horizons)
    assert list(curve.horizons_s) == sorted(horizons)
    assert len(curve.cores) == len(curve.memory_mb) == len(horizons)
    for free, capacity in ((curve.cores, cores), (curve.memory_mb, memory)):
        assert all(0 <= value <= capacity for value in free)
        assert all(later <= sooner for sooner, later in pairwise(free))
    if seen:
        assert all(value <= max(0.0, cores - seen[-1].owner_cpu) for value in curve.cores)
        assert all(value <= max(0.0, memory - seen[-1].owner_memory_mb) for value in curve.memory_mb)


def test_an_idle_host_is_promised_and_a_busy_one_is_not(forecaster: Forecaster) -> None:
    idle = [HostSample(2.0 * n, 0.0, 0.0) for n in range(2000)]
    curve = forecaster.curve(idle, capacity_cores=4, capacity_mb=1000, horizons_s=HORIZONS)
    assert curve.cores[0] > 0
    assert curve.memory_mb[0] > 0
    busy = [HostSample(2.0 * n, 4.0, 1000.0) for n in range(2000)]
    curve = forecaster.curve(busy, capacity_cores=4, capacity_mb=1000, horizons_s=HORIZONS)
    assert set(curve.cores) == set(curve.memory_mb) == {0.0}


def test_without_samples_the_curve_is_still_one(forecaster: Forecaster) -> None:
    curve = forecaster.curve([], capacity_cores=4, capacity_mb=1000, horizons_s=HORIZONS)
    assert curve.horizons_s == HORIZONS


def test_the_idle_time_of_a_curve() -> None:
    curve = HeadroomCurve((10.0, 60.0, 600.0), (2.0, 1.0, 0.5), (500.0, 500.0, 100.0))
    assert curve.idle_time_s(1.0, 256) == 60.0
    assert curve.idle_time_s(0.5, 100) == 600.0
    assert curve.idle_time_s(3.0, 1) == 0.0
