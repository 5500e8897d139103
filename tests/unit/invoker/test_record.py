"""What lies behind an activation when its node takes it up."""

from __future__ import annotations

import msgspec
import pytest
from fakes.samples import message

from upwhisk.common.model.placed import Phases
from upwhisk.invoker.record import waited


@pytest.mark.parametrize(
    ("taken_up_ms", "phases"),
    [
        (1_100, Phases(wait=100.0, queue=30.0, bus=70.0)),
        (1_010, Phases(wait=10.0, queue=10.0)),  # the node's clock is behind
        (900, Phases()),
    ],
)
def test_the_queue_and_the_bus_are_told_apart(taken_up_ms: int, phases: Phases) -> None:
    assert waited(msgspec.structs.replace(message(), accepted_ms=1_000, queued_ms=30), taken_up_ms) == phases
