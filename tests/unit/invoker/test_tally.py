"""What a node counts of its records."""

from __future__ import annotations

from upwhisk.common.ids import ActivationId
from upwhisk.common.model.activation import Activation, Status, failed, succeeded
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.placed import Phases, Placed
from upwhisk.invoker.tally import Tally


def _record(placed: Placed | None, *, ok: bool = True) -> Activation:
    return Activation(
        namespace="guest",
        name="hello",
        version="0.0.1",
        subject="guest",
        activation_id=ActivationId("a" * 32),
        start=1,
        response=succeeded({}) if ok else failed(Status.WHISK_ERROR, "no container"),
        annotations=(Parameter("upwhisk", placed),) if placed is not None else (),
    )


def test_a_run_is_counted_by_status_and_start() -> None:
    tally = Tally()
    warm = Placed(node="0", start="warm", phases=Phases(wait=2.0, place=0.2, run=40.0))
    cold = Placed(node="0", start="cold", phases=Phases(wait=2.0, place=30.0, init=8.0, run=40.0))
    for placed in (warm, warm, cold):
        tally.count(_record(placed), 0.001)
    assert tally.outcomes == {("success", "warm"): 2, ("success", "cold"): 1}
    seen = {name: sum(histogram.counts) for name, histogram in tally.phases.items()}
    assert seen == {"wait": 3, "place": 3, "init": 1, "run": 3, "store": 3}
    assert abs(tally.phases["run"].sum - 0.12) < 1e-9
    assert abs(tally.phases["init"].sum - 0.008) < 1e-9


def test_what_never_had_a_container_has_no_phases() -> None:
    tally = Tally()
    tally.count(_record(Placed(node="0"), ok=False), 0.5)
    tally.count(_record(None, ok=False), 0.5)
    assert tally.outcomes == {("whisk internal error", "none"): 2}
    assert sum(tally.phases["store"].counts) == 2
    assert sum(tally.phases["run"].counts) == 0
