"""How much work nodes have at once, looked at again and again while load runs."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from fleet.fleet import Fleet
from fleet.member import Member
from fleet.metrics import metrics_of

_BUSY = 'upwhisk_pool_containers{phase="busy"}'
_WAITING = "upwhisk_pool_waiting"
_ENDED = "upwhisk_activations_total{"
_BOOKED = re.compile(r'upwhisk_permits_in_use\{node="([^"]*)"\}')
_END_S = 10.0


def booked(fleet: Fleet) -> Counter[str]:
    """Node -> permits that all controllers together have on it now."""
    found: Counter[str] = Counter()
    for url in fleet.urls:
        for series, value in metrics_of(url).items():
            match = _BOOKED.fullmatch(series)
            if match:
                found[match[1]] += int(value)
    return found


def work_taken(node: Member) -> int:
    """Activations that ran on a node since it started, and those that it has now."""
    shown = metrics_of(node.metrics_url)
    ended = sum(value for series, value in shown.items() if series.startswith(_ENDED))
    return int(ended + shown[_BUSY] + shown[_WAITING])


class Occupancy:
    """`with` it, a thread looks every `every_s`. `busy`: most containers that ran at once, by node; `open`: those and the
    activations that waited on the node for one; `booked`: most permits of all controllers together."""

    def __init__(self, fleet: Fleet, every_s: float = 0.2) -> None:
        self._fleet = fleet
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="occupancy")
        self.busy: Counter[str] = Counter()
        self.open: Counter[str] = Counter()
        self.booked: Counter[str] = Counter()
        self.looks = 0
        self.failed = 0
        """Looks at a process that gave no answer: one that was killed."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_END_S)

    def _go_on(self) -> None:
        while not self._over.wait(self._every_s):
            self._look(self._fleet.invokers)
            self.looks += 1

    def _look(self, nodes: Iterable[Member]) -> None:
        for node in nodes:
            try:
                shown = metrics_of(node.metrics_url) if node.ready_line else {}
            except OSError:
                self.failed += 1
                continue
            busy, waiting = int(shown.get(_BUSY, 0)), int(shown.get(_WAITING, 0))
            self.busy[node.name] = max(self.busy[node.name], busy)
            self.open[node.name] = max(self.open[node.name], busy + waiting)
        try:
            self.booked |= booked(self._fleet)
        except OSError:
            self.failed += 1
