"""What the activations of this node came to, counted on the way and read when somebody asks. Pure."""

from __future__ import annotations

from collections import Counter

from upwhisk.common.histogram import Histogram
from upwhisk.common.model.activation import Activation
from upwhisk.common.model.placed import Placed

NO_CONTAINER = "none"
"""The start of an activation that never had a container."""
PHASES = ("wait", "place", "init", "run", "store")


class Tally:
    """`outcomes`: (status, start) -> activations. `phases`: seconds by phase; an activation in a warm container has no
    `init`, one without a container none but `store`."""

    def __init__(self) -> None:
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.phases = {name: Histogram() for name in PHASES}

    def count(self, record: Activation, store_s: float) -> None:
        """One final record of this node; `store_s`: how long it took to make it durable."""
        phases = self.phases
        phases["store"].observe(store_s)
        placed = record.annotations[-1].value if record.annotations else None
        took = placed.phases if type(placed) is Placed else None
        if type(placed) is not Placed or took is None:
            self.outcomes[record.response.status, NO_CONTAINER] += 1
            return
        self.outcomes[record.response.status, placed.start] += 1
        phases["wait"].observe(took.wait / 1000)
        phases["place"].observe(took.place / 1000)
        if took.init:
            phases["init"].observe(took.init / 1000)
        phases["run"].observe(took.run / 1000)
