"""Aggregates of host samples, and the forecast that rests on them."""

from __future__ import annotations

from upwhisk.common.spi.forecast import HostSample
from upwhisk.invoker.host.persistence import PersistenceForecaster
from upwhisk.invoker.host.window import Load, last, peak

SAMPLES = [HostSample(float(at), cpu, memory) for at, cpu, memory in ((0, 9, 1), (10, 1, 5), (14, 3, 2), (20, 2, 4))]


def test_the_last_samples_newest_first() -> None:
    assert [sample.at_s for sample in last(SAMPLES, 10)] == [20, 14, 10]
    assert [sample.at_s for sample in last(SAMPLES, 0)] == [20]
    assert list(last([], 10)) == []


def test_the_peak_takes_each_part_by_itself() -> None:
    assert peak(SAMPLES, 10) == Load(3, 5)
    assert peak(SAMPLES, 100) == Load(9, 5)
    assert peak([], 10) is None


def test_persistence_promises_the_same_for_ever() -> None:
    curve = PersistenceForecaster().curve(SAMPLES, capacity_cores=4, capacity_mb=100, horizons_s=(60, 10))
    assert (curve.horizons_s, curve.cores, curve.memory_mb) == ((10, 60), (1, 1), (95, 95))


def test_without_samples_nothing_is_promised() -> None:
    curve = PersistenceForecaster().curve([], capacity_cores=4, capacity_mb=100, horizons_s=(10,))
    assert (curve.cores, curve.memory_mb) == ((0,), (0,))
